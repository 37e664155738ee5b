import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { createDriver } from '../../../storage-drivers/index.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { parseRepositoryName, parseTag, type RepositoryName } from '../../oci/name.ts';
import { layout } from '../../registry/layout.ts';
import { createStorageRegistry } from '../../registry/storage-registry.ts';
import { defaultValidation } from '../../registry/validation.ts';
import { readSchedulerState } from './scheduler-state.ts';
import { Space, type SpaceEvent, type SpaceOptions } from './space.ts';

const alpine = parseRepositoryName('docker.io/library/alpine');
const pinned = parseRepositoryName('docker.io/library/pinned');
const hosted = parseRepositoryName('team/app');
const unit = 10_000;
const hour = 3_600_000;

let folder: string;
let driver: StorageDriver;
let spaces: Space[];
let events: SpaceEvent[];
/** Of all spaces, in milliseconds. */
let clock: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-space-'));
  driver = createDriver('filesystem', { rootdirectory: folder });
  spaces = [];
  events = [];
  clock = Date.now();
});
afterEach(async () => {
  await Promise.all(spaces.map((space) => space.close()));
  await driver.close?.();
  await rm(folder, { recursive: true, force: true });
});

/** A process with a mirror. */
async function open(options: Partial<SpaceOptions>): Promise<Space> {
  const space = new Space({
    driver,
    store: createStorageRegistry({ driver, validation: { ...defaultValidation, references: false } }),
    prefixes: ['docker.io'],
    isClaimed: async () => true,
    isPinned: (name) => name === pinned,
    redirect: false,
    onEvent: (event) => events.push(event),
    now: () => clock,
    ...options,
  });
  spaces.push(space);
  space.start();
  await space.started();
  return space;
}

async function* body(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** As a download does it. */
async function store(space: Space, repository: RepositoryName = alpine, size = unit): Promise<Digest> {
  clock += 1;
  const bytes = randomBytes(size);
  const digest = digestOf(bytes);
  const download = { digest, size };
  space.coming(download);
  await space.store.repository(repository).uploads.put(digest, body(bytes));
  space.came(download);
  return digest;
}

function use(space: Space, digest: Digest, size = unit): void {
  clock += 1;
  const descriptor = { mediaType: 'a/b', digest, size };
  space.used({
    outcome: 'hit',
    kind: 'blob',
    upstream: 'docker.io',
    repository: alpine,
    reference: digest,
    descriptor,
  });
}

const isThere = (digest: Digest) =>
  driver.stat(layout.blobData(digest)).then(
    () => true,
    () => false,
  );

async function bytesOnDisk(path = folder): Promise<number> {
  let total = 0;
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) total += await bytesOnDisk(child);
    else if (entry.name === 'data') total += (await stat(child).catch(() => undefined))?.size ?? 0;
  }
  return total;
}

const evicted = () => events.filter((event) => event.type === 'evicted');
const faults = () => events.filter((event) => event.type === 'fault');

test('there is never more than the budget, and what was asked for last stays', async () => {
  const space = await open({ maxSize: 20 * unit });
  const first = await store(space);
  const second = await store(space);
  const digests: Digest[] = [];
  for (let count = 0; count < 60; count += 1) {
    digests.push(await store(space));
    use(space, first);
    expect(space.bytes).toBeLessThanOrEqual(20 * unit);
    expect(await bytesOnDisk()).toBeLessThanOrEqual(20 * unit + 2 * unit);
  }
  expect(await isThere(first)).toBe(true);
  expect(await isThere(second)).toBe(false);
  const left = await Promise.all(digests.map(isThere));
  // The young ones, without a gap.
  expect(left.lastIndexOf(false)).toBeLessThan(left.indexOf(true));
  expect(left.filter(Boolean).length).toBeGreaterThanOrEqual(17);
  expect(evicted().reduce((sum, { bytes }) => sum + bytes, 0)).toBe((62 - space.count) * unit);
  expect(faults()).toEqual([]);
});

test('room for many who come at once is made before they are stored', async () => {
  const space = await open({ maxSize: 20 * unit });
  let most = 0;
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      await store(space);
      most = Math.max(most, space.bytes);
    }),
  );
  expect(most).toBeLessThanOrEqual(20 * unit);
  expect(await bytesOnDisk()).toBeLessThanOrEqual(20 * unit);
  expect(faults()).toEqual([]);
});

test('room is made for one that is as large as much of the rest', async () => {
  const space = await open({ maxSize: 20 * unit });
  for (let count = 0; count < 16; count += 1) await store(space);
  await store(space, alpine, 10 * unit);
  expect(space.bytes).toBeLessThanOrEqual(20 * unit);
  expect(space.bytes).toBeGreaterThanOrEqual(18 * unit);
});

test('a download that ends late does not take the place of the next one of the same blob', async () => {
  const space = await open({ maxSize: 20 * unit });
  for (let count = 0; count < 12; count += 1) await store(space);
  const bytes = randomBytes(10 * unit);
  const next = { digest: digestOf(bytes), size: bytes.length };
  const givenUp = { ...next };
  space.coming(givenUp);
  space.coming(next);
  space.came(givenUp);
  // Room is made before it is stored, as its size is still known.
  let most = 0;
  const watched = async function* () {
    most = space.bytes;
    yield bytes;
  };
  await space.store.repository(alpine).uploads.put(next.digest, watched());
  expect(most).toBeLessThanOrEqual(10 * unit);
  space.came(next);
});

test('pinned repositories lose nothing; when nothing else is left to go that is said, and pulls go on', async () => {
  const space = await open({ maxSize: 5 * unit });
  const kept: Digest[] = [];
  for (let count = 0; count < 4; count += 1) kept.push(await store(space, pinned));
  for (let count = 0; count < 8; count += 1) await store(space);
  for (const digest of kept) expect(await isThere(digest)).toBe(true);
  expect(space.bytes).toBeLessThanOrEqual(5 * unit);
  for (let count = 0; count < 4; count += 1) kept.push(await store(space, pinned));
  for (const digest of kept) expect(await isThere(digest)).toBe(true);
  expect(events.filter(({ type }) => type === 'full')).toHaveLength(1);
});

test('content of a pinned repository stays when another one has it too', async () => {
  const space = await open({ maxSize: 5 * unit });
  const shared = await store(space);
  await space.store.repository(pinned).blobs.adopt(shared, async () => undefined);
  for (let count = 0; count < 8; count += 1) await store(space);
  expect(await isThere(shared)).toBe(true);
});

test('what is hosted too does not count', async () => {
  const space = await open({ maxSize: 5 * unit });
  const registry = createStorageRegistry({ driver });
  const shared: Digest[] = [];
  for (let count = 0; count < 4; count += 1) {
    shared.push(await store(space));
    await registry.repository(hosted).blobs.mount(shared.at(-1) as Digest, alpine, () => true);
  }
  for (let count = 0; count < 6; count += 1) await store(space);
  for (const digest of shared) expect((await registry.repository(hosted).blobs.stat(digest)).size).toBe(unit);
  expect(space.bytes).toBeGreaterThanOrEqual(4 * unit);
  expect(space.bytes).toBeLessThanOrEqual(5 * unit);
});

test('what nobody asks for goes when it is too old', async () => {
  const space = await open({ maxAge: hour });
  const old = await store(space);
  const used = await store(space);
  const safe = await store(space, pinned);
  clock += hour / 2;
  use(space, used);
  clock += hour / 2;
  await space.evictOld();
  expect(await Promise.all([old, used, safe].map(isThere))).toEqual([false, true, true]);
  expect(evicted()).toMatchObject([{ reason: 'age', count: 1, bytes: unit }]);
});

test('a manifest is content as any other, and goes with its tag', async () => {
  const space = await open({ maxAge: hour });
  const layer = await store(space);
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: layer, size: unit };
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config, layers: [] }),
  );
  const { manifests, tags } = space.store.repository(alpine);
  await manifests.put(parseTag('latest'), manifest, { mediaType: undefined });
  expect(space.bytes).toBe(unit + manifest.length);
  clock += 2 * hour;
  await space.evictOld();
  expect(space.bytes).toBe(0);
  const left: string[] = [];
  for await (const tag of tags.list()) left.push(tag);
  expect(left).toEqual([]);
});

describe('a restart', () => {
  test('forgets neither what there is nor when it was asked for', async () => {
    const space = await open({ maxSize: 100 * unit });
    const [a, b, c] = [await store(space), await store(space), await store(space)];
    use(space, a);
    await space.close();
    const next = await open({ maxSize: 3 * unit });
    expect(next.bytes).toBe(3 * unit);
    await store(next);
    // Down to the low-water mark two have to go: the third one is what came last.
    expect(await isThere(b)).toBe(false);
    expect(await isThere(a)).toBe(true);
    expect([await isThere(c), next.bytes <= 3 * unit]).toEqual([expect.any(Boolean), true]);
  });

  test('after a crash finds what there is by looking', async () => {
    const space = await open({ maxSize: 100 * unit });
    for (let count = 0; count < 5; count += 1) await store(space);
    await rm(join(folder, '_berth'), { recursive: true, force: true });
    const next = await open({ maxSize: 100 * unit });
    expect([next.bytes, next.count]).toEqual([5 * unit, 5]);
    expect(events).toContainEqual({ type: 'surveyed', count: 5, bytes: 5 * unit });
  });

  test('knows nothing of what another program has deleted meanwhile', async () => {
    const space = await open({ maxSize: 100 * unit });
    const gone = await store(space);
    await store(space);
    await space.close();
    await driver.delete(layout.blobData(gone));
    expect((await open({ maxSize: 100 * unit })).bytes).toBe(unit);
  });
});

test('expiries of another program are heeded', async () => {
  const space = await open({});
  const [soon, late] = [await store(space), await store(space)];
  await space.close();
  await rm(join(folder, '_berth'), { recursive: true, force: true });
  const entry = (digest: Digest, expiry: number, repository = 'library/alpine') => [
    `${repository}@${digest}`,
    { Key: `${repository}@${digest}`, ExpiryData: new Date(expiry).toISOString(), EntryType: 0 },
  ];
  const state = Object.fromEntries([
    entry(soon, clock + hour),
    entry(late, clock + hour),
    entry(late, clock + 5 * hour, 'library/other'),
    ['library/x@nothing', {}],
  ]);
  await driver.put('/scheduler-state.json', Buffer.from(JSON.stringify(state)));
  const next = await open({ maxAge: 10 * hour, expiries: () => readSchedulerState(driver) });
  await next.evictOld();
  expect(await Promise.all([soon, late].map(isThere))).toEqual([true, true]);
  clock += 2 * hour;
  await next.evictOld();
  expect(await Promise.all([soon, late].map(isThere))).toEqual([false, true]);
});

test.each(['', '[]', '{"a":', '{"a@b":null}'])('a scheduler-state.json of %j has no expiries', async (content) => {
  await driver.put('/scheduler-state.json', Buffer.from(content));
  expect(await readSchedulerState(driver)).toEqual(new Map());
});

test('without redirects what was just asked for may go, with them it stays for a minute', async () => {
  const space = await open({ maxSize: 3 * unit, redirect: true });
  for (let count = 0; count < 5; count += 1) await store(space);
  expect(space.bytes).toBe(5 * unit);
  clock += 61_000;
  await store(space);
  expect(space.bytes).toBeLessThanOrEqual(3 * unit);
});
