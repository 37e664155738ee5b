import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { type FaultyStorage, faultyStorage } from '../../storage-drivers/s3/testing/faulty-driver.ts';
import { buildChild, startChild } from '../../storage-drivers/s3/testing/start-child.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName } from '../oci/name.ts';
import { layout } from './layout.ts';
import { purgeUploads } from './purge-uploads.ts';
import type { Body } from './registry.ts';
import { createStorageRegistry } from './storage-registry.ts';

/** Where folders have no dates, and a multipart upload shows no bytes. */

const timeout = 120_000;
const mebibyte = 1024 * 1024;
const hour = 3_600_000;
const name = parseRepositoryName('user/app');
const blob = '/docker/registry/v2/blobs/sha256/ab/abcd/data';
let storage: FaultyStorage;
let driver: StorageDriver;
beforeAll(buildChild, timeout);
beforeAll(async () => {
  storage = await faultyStorage();
  ({ driver } = storage);
}, timeout);
afterAll(() => storage.dispose(), timeout);

async function purge(before: Date, dryRun = false): Promise<string[]> {
  const ids: string[] = [];
  const onFault = (_: string, id: string, error: unknown) => {
    throw new Error(`could not purge ${id}`, { cause: error });
  };
  for await (const { id } of purgeUploads({ driver, before, dryRun, onFault })) ids.push(id);
  return ids.sort();
}

describe('a purge', { timeout }, () => {
  test('removes what is left of a session that has ended, whatever it is', async () => {
    const id = () => randomUUID();
    const orphan = Buffer.from('x');
    const [chunk, first, foreign, junk, noDate] = [id(), id(), id(), id(), id()];
    await driver.put(`${layout.uploadData(name, chunk)}.berth/0000000000200000`, orphan);
    await driver.put(`${layout.uploadData(name, first)}.berth/0000000000000000`, orphan);
    await driver.put(layout.uploadData(name, foreign), orphan);
    await driver.put(`${layout.uploadData(name, junk)}.berth/upload-${id()}`, Buffer.from('no record'));
    await driver.put(layout.uploadStartedAt(name, noDate), Buffer.from('no date'));
    const record = id();
    const child = startChild(storage.parameters, 'upload', layout.uploadData(name, record), blob);
    for (let steps = 0; steps < 12; steps += 1) await child.step();
    await child.kill();
    expect(await storage.uploads()).toHaveLength(1);

    const all = [chunk, first, foreign, junk, noDate, record].sort();
    expect(await purge(new Date(Date.now() - hour))).toEqual([]);
    expect(await purge(new Date(Date.now() + hour), true)).toEqual(all);
    expect(await purge(new Date(Date.now() + hour))).toEqual(all);
    expect(await storage.uploads()).toEqual([]);
    await expect(driver.stat(layout.uploads(name))).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  test('leaves a push that goes on for longer than sessions may rest', async () => {
    const { uploads } = createStorageRegistry({ driver: storage.another() }).repository(name);
    const bytes = randomBytes(24 * mebibyte);
    let before = new Date();
    async function* slow(): Body {
      yield bytes.subarray(0, 12 * mebibyte);
      // Servers tell the time of an object in seconds in places.
      await delay(2_100);
      before = new Date(Date.now() - 1_000);
      yield bytes.subarray(12 * mebibyte);
      await expect
        .poll(async () => Number(await driver.lastWrite?.(layout.upload(name, id))))
        .toBeGreaterThan(Number(before));
      expect(await purge(before)).toEqual([]);
    }
    const { id } = await uploads.create();
    const { digest } = await uploads.find(id).commit(digestOf(bytes), slow());
    expect((await driver.stat(layout.blobData(digest))).size).toBe(bytes.length);
    expect(await storage.uploads()).toEqual([]);
  });
});
