import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { createDriver } from '../../../storage-drivers/index.ts';
import { type FaultyDriver, withFaults } from '../../../storage-drivers/wrappers/faults.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import { parseRepositoryName, parseTag } from '../../oci/name.ts';
import { layout } from '../../registry/layout.ts';
import type { Registry } from '../../registry/registry.ts';
import { createStorageRegistry } from '../../registry/storage-registry.ts';
import { defaultValidation } from '../../registry/validation.ts';
import { Eviction } from './eviction.ts';
import { type Entry, Ledger, recordOf } from './ledger.ts';
import { encodeRecords, type Link } from './records.ts';
import { survey } from './survey.ts';
import { createTerritory } from './territory.ts';

const mirror = parseRepositoryName('docker.io/library/alpine');
const hosted = parseRepositoryName('team/app');
const territory = createTerritory(['docker.io'], async () => true);
const never = new AbortController().signal;
const everybody = () => true;

let folder: string;
/** As the evicting process has it. */
let faulty: FaultyDriver;
let ledger: Ledger;
let store: Registry;
let eviction: Eviction;
let restored: Digest[];
/** As another process has it, that hosts. */
let other: Registry;
let plain: StorageDriver;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-space-'));
  const open = () => createDriver('filesystem', { rootdirectory: folder });
  faulty = withFaults(open());
  plain = open();
  other = createStorageRegistry({ driver: plain });
  restart();
});
afterEach(async () => {
  faulty.clear();
  await plain.close?.();
  await faulty.driver.close?.();
  await rm(folder, { recursive: true, force: true });
});

/** As if the process had died. */
function restart(): void {
  ledger = new Ledger();
  restored = [];
  store = createStorageRegistry({ driver: faulty.driver, validation: { ...defaultValidation, references: false } });
  eviction = new Eviction({
    driver: faulty.driver,
    store,
    territory,
    ledger,
    now: Date.now,
    onRestore: (digest) => restored.push(digest),
  });
}

/** Makes what is stored look an hour old. */
async function age(digest: Digest): Promise<void> {
  const hourAgo = new Date(Date.now() - 3_600_000);
  await utimes(join(folder, layout.blobData(digest)), hourAgo, hourAgo);
}

function note(digest: Digest, size: number, link: Link): Entry {
  return ledger.note({ digest, size, used: Date.now() - 3_600_000, stored: undefined, links: [link] });
}

async function mirroredBlob(size = 100_000): Promise<{ bytes: Buffer; digest: Digest; entry: Entry }> {
  const bytes = randomBytes(size);
  const digest = digestOf(bytes);
  await store.repository(mirror).uploads.put(digest, body(bytes));
  await age(digest);
  return { bytes, digest, entry: note(digest, size, { kind: 'blob', repository: mirror }) };
}

async function* body(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

const evict = (...entries: Entry[]) => eviction.evict(entries, () => undefined, never);
const data = (digest: Digest) =>
  plain.stat(layout.blobData(digest)).then(
    () => 'there',
    () => 'gone',
  );

async function read(registry: Registry, digest: Digest, name = hosted): Promise<Buffer> {
  const blob = await registry.repository(name).blobs.get(digest);
  const chunks: Buffer[] = [];
  for await (const chunk of await blob.open()) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function asideNames(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of plain.list('/_berth/mirror/space/aside')) names.push(name);
  return names;
}

function imageOf(layer: Digest, size: number): Buffer {
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: layer, size };
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [] }));
}

test('a blob goes with its link and its folder, and is unknown then', async () => {
  const { digest, entry } = await mirroredBlob();
  expect(await evict(entry)).toMatchObject({ count: 1, bytes: 100_000, hosted: 0, missing: 0 });
  expect(await data(digest)).toBe('gone');
  await expect(plain.stat(layout.blobData(digest).replace(/\/data$/, ''))).rejects.toMatchObject({
    code: 'PATH_NOT_FOUND',
  });
  await expect(store.repository(mirror).blobs.get(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  expect(ledger.bytes).toBe(0);
  expect(await asideNames()).toEqual([]);
});

test('a manifest goes behind the tags that point to it; others stay', async () => {
  const { manifests, tags } = store.repository(mirror);
  const { digest: layer } = await mirroredBlob();
  const old = imageOf(layer, 1);
  const young = imageOf(layer, 2);
  for (const tag of ['a', 'b']) await manifests.put(parseTag(tag), old, { mediaType: undefined });
  await manifests.put(parseTag('c'), young, { mediaType: undefined });
  await age(digestOf(old));
  const tagGone = faulty.hold({ operation: 'delete', path: layout.revision(mirror, digestOf(old)) });
  const done = evict(note(digestOf(old), old.length, { kind: 'manifest', repository: mirror }));
  await tagGone.reached;
  const left: string[] = [];
  for await (const tag of tags.list()) left.push(tag);
  expect(left).toEqual(['c']);
  expect(await data(digestOf(old))).toBe('there');
  tagGone.release();
  expect(await done).toMatchObject({ count: 1 });
  await expect(manifests.get(digestOf(old))).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  expect((await manifests.get(parseTag('c'))).content.equals(young)).toBe(true);
});

test('what a hosted repository has too stays, with the link of the mirror, and takes no place of it', async () => {
  const { bytes, digest, entry } = await mirroredBlob();
  await other.repository(hosted).blobs.mount(digest, mirror, everybody);
  expect(await evict(entry)).toMatchObject({ count: 0, hosted: 1 });
  expect((await read(other, digest)).equals(bytes)).toBe(true);
  expect((await read(store, digest, mirror)).equals(bytes)).toBe(true);
  expect(ledger.bytes).toBe(0);
  // Until it is not hosted any more, which the next eviction finds out.
  await other.repository(hosted).blobs.delete(digest);
  const next = await mirroredBlob();
  await evict(next.entry);
  expect(ledger.bytes).toBe(100_000);
});

test('what is hosted under a digest of another algorithm, as distribution links it, stays', async () => {
  const { bytes, digest, entry } = await mirroredBlob();
  const foreign = digestOf(bytes, 'sha512');
  await plain.put(`${layout.layer(hosted, foreign)}/link`, Buffer.from(digest));
  expect(await evict(entry)).toMatchObject({ count: 0, hosted: 1 });
  expect((await read(other, foreign)).equals(bytes)).toBe(true);
});

test('who reads it reads on', async () => {
  const { bytes, digest, entry } = await mirroredBlob(3_000_000);
  const reader = await (await store.repository(mirror).blobs.get(digest)).open();
  const chunks: Buffer[] = [];
  for await (const chunk of reader) {
    if (chunks.length === 0) expect(await evict(entry)).toMatchObject({ count: 1 });
    chunks.push(Buffer.from(chunk));
  }
  expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
});

test('what somebody else has stored just now stays, and what the mirror itself has stored does not', async () => {
  const { digest, entry, bytes } = await mirroredBlob();
  await plain.put(layout.blobData(digest), bytes);
  expect(await evict(entry)).toMatchObject({ count: 0 });
  expect(entry.spared).toBeGreaterThan(Date.now());
  entry.stored = (await plain.stat(layout.blobData(digest))).modified?.getTime();
  expect(await evict(entry)).toMatchObject({ count: 1 });
});

/** Each is done at some point of an eviction; afterwards what it was told to be there must be there. */
const pushes: Record<string, (digest: Digest, bytes: Buffer) => Promise<'has it' | 'has it not'>> = {
  'a push': async (digest, bytes) => {
    const upload = await other.repository(hosted).uploads.create();
    await upload.append(body(bytes));
    await upload.commit(digest);
    return 'has it';
  },
  'a push in one piece': async (digest, bytes) => {
    await other.repository(hosted).uploads.put(digest, body(bytes));
    return 'has it';
  },
  'a push whose bytes came long ago': async (digest, bytes) => {
    const upload = await other.repository(hosted).uploads.create();
    await upload.append(body(bytes));
    const hourAgo = new Date(Date.now() - 3_600_000);
    await utimes(join(folder, layout.uploadData(hosted, upload.id)), hourAgo, hourAgo);
    await upload.commit(digest);
    return 'has it';
  },
  'a mount from the mirror': async (digest) => {
    const mounted = await other.repository(hosted).blobs.mount(digest, mirror, everybody);
    return mounted === undefined ? 'has it not' : 'has it';
  },
  'a mount from anywhere': async (digest) => {
    const mounted = await other.repository(hosted).blobs.mount(digest, undefined, everybody);
    return mounted === undefined ? 'has it not' : 'has it';
  },
};

const moments = {
  'before the first look': { operation: 'list', path: layout.repositories },
  'between the look and the links': { operation: 'put', path: /space\/aside\/.*batch$/ },
  'before the links go': { operation: 'delete', path: /_layers/ },
  'before the content is moved': { operation: 'move', path: /blobs\/sha256/ },
  'before the second look': { operation: 'list', path: layout.repositories, times: 2 },
  'before it is deleted': { operation: 'delete', path: /space\/aside/ },
} as const;

describe.each(Object.entries(pushes))('%s in the middle of an eviction loses nothing', (_, push) => {
  test.each(Object.entries(moments))('%s', async (_, { operation, path, ...rest }) => {
    for (const size of [1_000, 200_000]) {
      const { bytes, digest, entry } = await mirroredBlob(size);
      const first = 'times' in rest ? faulty.hold({ operation: 'move', path: /blobs/ }) : undefined;
      let held = first === undefined ? faulty.hold({ operation, path }) : undefined;
      const done = evict(entry);
      if (first !== undefined) {
        await first.reached;
        held = faulty.hold({ operation, path });
        first.release();
      }
      await held?.reached;
      const outcome = await push(digest, bytes);
      held?.release();
      await done;
      faulty.clear();
      if (outcome === 'has it') {
        expect((await read(createStorageRegistry({ driver: plain }), digest)).equals(bytes)).toBe(true);
      } else await expect(other.repository(hosted).blobs.stat(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
      expect(await asideNames()).toEqual([]);
    }
  });
});

test.each(['content before its link', 'link before its content'])(
  'a push that is held up between its two writes loses nothing: %s',
  async (order) => {
    const { bytes, digest, entry } = await mirroredBlob(order === 'content before its link' ? 1_000 : 200_000);
    const slow = withFaults(plain);
    const second =
      order === 'content before its link'
        ? { operation: 'put' as const, path: `${layout.layer(hosted, digest)}/link` }
        : { operation: 'commit' as const };
    const held = slow.hold(second);
    // The content is replaced just between the look at its date and the move.
    const moving = faulty.hold({ operation: 'move', path: /blobs\/sha256/ });
    const done = evict(entry);
    await moving.reached;
    const pushed = createStorageRegistry({ driver: slow.driver }).repository(hosted).uploads.put(digest, body(bytes));
    await held.reached;
    moving.release();
    await done;
    held.release();
    await pushed;
    expect((await read(createStorageRegistry({ driver: plain }), digest)).equals(bytes)).toBe(true);
  },
);

test('a mount that is held up between its link and its look finds the content, or says that it is gone', async () => {
  for (const released of ['before the second look', 'after the eviction']) {
    const { bytes, digest, entry } = await mirroredBlob();
    const slow = withFaults(plain);
    const looking = slow.hold({ operation: 'stat', path: layout.blobData(digest) });
    const mounted = createStorageRegistry({ driver: slow.driver })
      .repository(hosted)
      .blobs.mount(digest, mirror, everybody);
    const link = slow.hold({ operation: 'put', path: `${layout.layer(hosted, digest)}/link` });
    const moving = faulty.hold({ operation: 'move', path: /blobs\/sha256/ });
    const done = evict(entry);
    await moving.reached;
    link.release();
    await looking.reached;
    moving.release();
    if (released === 'after the eviction') await done;
    looking.release();
    const outcome = await mounted;
    await done;
    // Its link came before the second look in either case.
    expect(await data(digest)).toBe('there');
    if (outcome !== undefined) expect((await read(other, digest)).equals(bytes)).toBe(true);
    if (released === 'after the eviction') expect(outcome).toBeDefined();
    slow.clear();
    faulty.clear();
  }
});

test('two processes that evict the same do no harm', async () => {
  const blobs = await Promise.all(Array.from({ length: 20 }, () => mirroredBlob(5_000)));
  const second = new Ledger();
  for (const { entry } of blobs) second.note(recordOf(entry));
  const another = new Eviction({
    driver: plain,
    store: other,
    territory,
    ledger: second,
    now: Date.now,
    onRestore: (digest) => restored.push(digest),
  });
  const results = await Promise.all([
    evict(...blobs.map(({ entry }) => entry)),
    another.evict([...second.entries()], () => undefined, never),
  ]);
  expect(results[0].count + results[1].count).toBe(20);
  for (const { digest } of blobs) expect(await data(digest)).toBe('gone');
  expect([ledger.bytes, second.bytes]).toEqual([0, 0]);
});

test('what is asked for again in the middle of it stays', async () => {
  const { digest, entry } = await mirroredBlob();
  const held = faulty.hold({ operation: 'put', path: /space\/aside\/.*batch$/ });
  const done = evict(entry);
  await held.reached;
  entry.used = Date.now() + 1;
  held.release();
  expect(await done).toMatchObject({ count: 0 });
  expect(await data(digest)).toBe('there');
});

describe('a process that dies in the middle of it', () => {
  test.each(Object.entries(moments))('%s: what is hosted is there, and the rest goes', async (_, moment) => {
    const doomed = await mirroredBlob();
    const shared = await mirroredBlob();
    const { operation, path } = moment;
    // It goes no further.
    const point = 'times' in moment ? { operation: 'delete' as const, path: /space\/aside/ } : { operation, path };
    const held = faulty.hold(point);
    const dying = evict(doomed.entry, shared.entry);
    dying.catch(() => undefined);
    await held.reached;
    const outcome = await other.repository(hosted).blobs.mount(shared.digest, undefined, everybody);
    const dead = faulty;
    faulty = withFaults(createDriver('filesystem', { rootdirectory: folder }));
    restart();

    await eviction.recover(never);
    await survey({ driver: faulty.driver, territory, ledger, usedOf: () => undefined, signal: never });
    if (outcome !== undefined) expect((await read(other, shared.digest)).equals(shared.bytes)).toBe(true);
    const whole = [...ledger.entries()].filter(({ digest }) => [doomed.digest, shared.digest].includes(digest));
    for (const entry of whole) entry.spared = 0;
    await evict(...whole);
    expect(await data(doomed.digest)).toBe('gone');
    if (outcome !== undefined) expect((await read(other, shared.digest)).equals(shared.bytes)).toBe(true);
    for (const batch of await asideNames()) {
      const left: string[] = [];
      for await (const { name } of plain.list(`/_berth/mirror/space/aside/${batch}`)) left.push(name);
      expect(left).toEqual(['batch']);
    }
    dead.fail({ operation: 'delete' });
    dead.fail({ operation: 'move' });
    dead.fail({ operation: 'put' });
    held.release();
    await dying.catch(() => undefined);
    await dead.driver.close?.();
  });

  test('leaves nothing for ever of what it was copying', async () => {
    const { digest, entry } = await mirroredBlob();
    const batch = '/_berth/mirror/space/aside/8b1f0c6e';
    await plain.put(`${batch}/batch`, encodeRecords([recordOf(entry)]));
    await plain.put(`${batch}/${digest}.berth/upload-1`, Buffer.from('{}'));
    const left = () => readdir(join(folder, batch));
    await eviction.recover(never);
    expect(await left()).toHaveLength(2);

    const hoursAgo = new Date(Date.now() - 7_200_000);
    await utimes(join(folder, batch, 'batch'), hoursAgo, hoursAgo);
    await eviction.recover(never);
    expect(await left()).toEqual([]);
    expect(await data(digest)).toBe('there');
  });
});

test('where moving is copying, the second look waits for whoever has stored content but not its link yet', async () => {
  const { entry, digest } = await mirroredBlob();
  const driver: StorageDriver = {
    ...faulty.driver,
    move: async (from, to) => {
      await faulty.driver.move?.(from, to);
      return undefined;
    },
  };
  const copying = new Eviction({ driver, store, territory, ledger, now: Date.now, onRestore: () => undefined });
  const stopping = new AbortController();
  const { count, finished } = await copying.evict([entry], () => undefined, stopping.signal);
  expect(count).toBe(1);
  expect(await data(digest)).toBe('gone');
  expect(await asideNames()).toHaveLength(1);
  stopping.abort();
  await expect(finished).rejects.toThrow();
  // The next one finds it.
  await other.repository(hosted).blobs.mount(digest, mirror, everybody);
  await plain.put(`${layout.layer(hosted, digest)}/link`, Buffer.from(digest));
  await eviction.recover(never);
  expect(await data(digest)).toBe('there');
});
