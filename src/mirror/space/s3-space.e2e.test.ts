import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { type FaultyStorage, faultyStorage } from '../../../storage-drivers/s3/testing/faulty-driver.ts';
import { type FaultyDriver, withFaults } from '../../../storage-drivers/wrappers/faults.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { parseRepositoryName } from '../../oci/name.ts';
import { layout } from '../../registry/layout.ts';
import { createStorageRegistry } from '../../registry/storage-registry.ts';
import { Eviction } from './eviction.ts';
import { type Entry, Ledger } from './ledger.ts';
import { survey } from './survey.ts';
import { createTerritory } from './territory.ts';

/** Where moving is copying, and folders vanish with what is in them. */

const timeout = 120_000;
const mirror = parseRepositoryName('quay.io/team/app');
const hosted = parseRepositoryName('team/app');
const territory = createTerritory(['quay.io'], async () => true);
const never = new AbortController().signal;
let storage: FaultyStorage;
let driver: StorageDriver;
let faulty: FaultyDriver;
let ledger: Ledger;
let eviction: Eviction;
beforeAll(async () => {
  storage = await faultyStorage();
  ({ driver } = storage);
}, timeout);
afterAll(() => storage.dispose(), timeout);
beforeEach(() => {
  faulty = withFaults(driver);
  ledger = new Ledger();
  eviction = new Eviction({
    driver: faulty.driver,
    store: createStorageRegistry({ driver: faulty.driver }),
    territory,
    ledger,
    now: Date.now,
    settleTime: 200,
    onRestore: () => undefined,
  });
});

async function* body(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function mirrored(size: number): Promise<{ bytes: Buffer; digest: Digest; entry: Entry }> {
  const bytes = randomBytes(size);
  const digest = digestOf(bytes);
  await createStorageRegistry({ driver }).repository(mirror).uploads.put(digest, body(bytes));
  const stored = (await driver.stat(layout.blobData(digest))).modified?.getTime();
  const links = [{ kind: 'blob', repository: mirror } as const];
  return { bytes, digest, entry: ledger.note({ digest, size, used: 1, stored, links }) };
}

async function asideNames(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of driver.list('/_berth/mirror/space/aside')) names.push(name);
  return names;
}

describe('in an object store', { timeout }, () => {
  test('small and large blobs go, with their links and with what was aside', async () => {
    const blobs = [await mirrored(1_000), await mirrored(12 * 1024 * 1024)];
    const entries = blobs.map(({ entry }) => entry);
    const { count, finished } = await eviction.evict(entries, () => undefined, never);
    expect(count).toBe(2);
    await finished;
    for (const { digest } of blobs) {
      await expect(driver.stat(layout.blobData(digest))).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await expect(driver.stat(layout.layer(mirror, digest))).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    }
    expect(await asideNames()).toEqual([]);
  });

  test.each([1_000, 300_000])(
    'a push of %i bytes whose content is moved, or comes, before its link is seen loses nothing',
    async (size) => {
      const { bytes, digest, entry } = await mirrored(size);
      const moving = faulty.hold({ operation: 'move', path: layout.blobData(digest) });
      const done = eviction.evict([entry], () => undefined, never);
      await moving.reached;
      const slow = withFaults(driver);
      const linking = slow.hold({ operation: 'put', path: `${layout.layer(hosted, digest)}/link` });
      const pushed = createStorageRegistry({ driver: slow.driver }).repository(hosted).uploads.put(digest, body(bytes));
      await linking.reached;
      moving.release();
      const { finished } = await done;
      linking.release();
      await pushed;
      await finished;
      const blob = await createStorageRegistry({ driver }).repository(hosted).blobs.get(digest);
      const chunks: Buffer[] = [];
      for await (const chunk of await blob.open()) chunks.push(Buffer.from(chunk));
      expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      expect(await asideNames()).toEqual([]);
    },
  );

  test('a survey finds what mirrors have, and nothing else', async () => {
    const { digest } = await mirrored(1_000);
    const other = randomBytes(10);
    await createStorageRegistry({ driver }).repository(hosted).uploads.put(digestOf(other), body(other));
    const found = new Ledger();
    await survey({ driver, territory, ledger: found, usedOf: () => undefined, signal: never });
    expect(Array.from(found.entries(), (entry) => entry.digest)).toEqual([digest]);
  });
});
