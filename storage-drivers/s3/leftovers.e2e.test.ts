import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PathNotFoundError, type StorageDriver, StorageError, WriterBusyError } from '../driver.ts';
import { limits } from './client.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';
import { buildChild, startChild } from './testing/start-child.ts';

const timeout = 120_000;
const mebibyte = 1024 * 1024;
const usual = { ...limits };
let storage: FaultyStorage;
beforeAll(buildChild, timeout);
beforeAll(async () => {
  storage = await faultyStorage();
}, timeout);
afterEach(() => {
  storage.proxy.clear();
  Object.assign(limits, usual);
});
afterAll(() => storage.dispose(), timeout);

let folder: string;
let path: string;
let marker: string;
let blob: string;
beforeEach(async () => {
  folder = `/uploads/${randomUUID()}`;
  [path, marker, blob] = [`${folder}/data`, `${folder}/startedat`, `/blobs/${randomUUID()}`];
  await storage.driver.begin(path, { path: marker, content: Buffer.from('now') });
});

/** What is below the folder of the upload, relative to it. */
async function left(): Promise<string[]> {
  const { bucket, parameters } = storage;
  const prefix = `${String(parameters.rootdirectory).slice(1)}${folder}/`;
  const names: string[] = [];
  const pages = paginateListObjectsV2({ client: bucket.client }, { Bucket: bucket.name, Prefix: prefix });
  for await (const { Contents = [] } of pages) names.push(...Contents.map(({ Key = '' }) => Key.slice(prefix.length)));
  return names;
}

/** As a registry ends a session. */
const end = (driver: StorageDriver) => driver.delete(folder, { names: ['startedat', 'data'] });

async function pushWhole(driver: StorageDriver, bytes: Buffer): Promise<void> {
  const writer = await driver.writer(path, { append: true, marker, to: blob });
  try {
    for (let start = 0; start < bytes.length; start += mebibyte)
      await writer.write(bytes.subarray(start, start + mebibyte));
    await writer.commit(blob);
  } catch (error) {
    await writer.close().catch(() => undefined);
    throw error;
  }
}

describe('what a writer that died has left goes when another one ends the upload', { timeout }, () => {
  test('after the same bytes came once more', async () => {
    const child = startChild(storage.parameters, 'upload', path, blob);
    for (let steps = 0; steps < 12; steps += 1) await child.step();
    await child.kill();
    expect(await storage.uploads()).toHaveLength(1);
    const bytes = randomBytes(12 * mebibyte);
    await pushWhole(storage.driver, bytes);
    await end(storage.driver);
    expect(await storage.uploads()).toEqual([]);
    expect(await left()).toEqual([]);
    expect((await storage.truth.get(blob)).equals(bytes)).toBe(true);
  });

  test('after the storage was away for a while, in the same process', async () => {
    const bytes = randomBytes(12 * mebibyte);
    limits.retry = 0;
    storage.proxy.inject({ fault: { kind: 'reset-request' }, operations: ['UploadPart'], skip: 1 });
    storage.proxy.inject({ fault: { kind: 'reset-request' }, operations: ['AbortMultipartUpload'] });
    await expect(pushWhole(storage.driver, bytes)).rejects.toBeInstanceOf(StorageError);
    expect(await storage.uploads()).toHaveLength(1);
    storage.proxy.clear();
    await pushWhole(storage.driver, bytes);
    await end(storage.driver);
    expect(await storage.uploads()).toEqual([]);
    expect(await left()).toEqual([]);
  });

  test('with small bytes, while it is still at work: that one is told that the upload has ended', async () => {
    const late = await storage.another().writer(path, { append: true, marker, to: blob });
    for (let written = 0; written < 12; written += 1) await late.write(randomBytes(mebibyte));
    expect(await storage.uploads()).toHaveLength(1);
    expect((await storage.driver.kept(path, { marker })).size).toBe(0);
    await end(storage.driver);
    expect(await storage.uploads()).toEqual([]);
    await expect(late.commit(blob)).rejects.toBeInstanceOf(PathNotFoundError);
    expect(await storage.uploads()).toEqual([]);
    expect(await left()).toEqual([]);
  });

  test('though its multipart upload cannot be aborted at once: its record then stays', async () => {
    const child = startChild(storage.parameters, 'upload', path, blob);
    for (let steps = 0; steps < 12; steps += 1) await child.step();
    await child.kill();
    await storage.driver.kept(path, { marker });
    limits.retry = 0;
    storage.proxy.inject({ fault: { kind: 'reset-request' }, operations: ['AbortMultipartUpload'] });
    await expect(end(storage.driver)).rejects.toBeInstanceOf(StorageError);
    expect(await left()).toEqual([expect.stringMatching(/^data\.berth\/upload-/)]);
    storage.proxy.clear();
    await storage.driver.delete(folder);
    expect(await storage.uploads()).toEqual([]);
    expect(await left()).toEqual([]);
  });

  test('whatever it is', async () => {
    const strange = ['data', 'data.berth/0000000000000007', 'data.berth/upload-1', 'hashstates/sha256/10'];
    for (const name of strange) await storage.truth.put(`${folder}/${name}`, Buffer.from('no record'));
    await storage.driver.kept(path, { marker });
    await end(storage.driver);
    expect(await left()).toEqual([]);
  });
});

describe('when bytes came last', { timeout }, () => {
  test('is the date of the newest object, or of the newest part that another process has stored', async () => {
    const { driver } = storage;
    const begun = await driver.lastWrite?.(folder);
    const { modified } = await driver.stat(marker);
    expect(Math.floor(Number(begun) / 1000)).toBe(Math.floor(Number(modified) / 1000));
    const writer = await storage.another().writer(path, { append: true, marker, to: blob });
    for (let written = 0; written < 6; written += 1) await writer.write(randomBytes(mebibyte));
    // Servers tell the time of an object in seconds in places.
    await delay(2_100);
    for (let written = 0; written < 12; written += 1) await writer.write(randomBytes(mebibyte));
    expect(await left()).toHaveLength(2);
    const last = async () => Number(await driver.lastWrite?.(folder));
    await expect.poll(last, { timeout: 10_000 }).toBeGreaterThan(Number(begun) + 1_000);
    await writer.cancel();
    expect(await driver.lastWrite?.('/nothing')).toBeUndefined();
  });
});

describe('a writer whose upload another process ends meanwhile', { timeout }, () => {
  beforeEach(() => {
    limits.marker = 0;
  });

  test.each([200_000, 12 * mebibyte])('keeps nothing of %i bytes, and says so', async (size) => {
    const [driver, other] = [storage.driver, storage.another()];
    const first = await driver.writer(path, { append: true, marker });
    await first.write(randomBytes(1000));
    await first.close();
    const writer = await driver.writer(path, { append: true, marker });
    for (let written = 0; written < size; written += 100_000) await writer.write(randomBytes(100_000));
    await (await other.writer(path, { append: true, marker })).cancel();
    await end(other);
    await expect(writer.close()).rejects.toBeInstanceOf(PathNotFoundError);
    expect(await left()).toEqual([]);
  });

  test('commits nothing of what was kept, and leaves nothing', async () => {
    const [driver, other] = [storage.driver, storage.another()];
    const first = await driver.writer(path, { append: true, marker });
    await first.write(randomBytes(1000));
    await first.close();
    const writer = await driver.writer(path, { append: true, marker, to: blob });
    for (let written = 0; written < 120; written += 1) await writer.write(randomBytes(100_000));
    await (await other.writer(path, { append: true, marker })).cancel();
    await end(other);
    await expect(writer.commit(blob)).rejects.toBeInstanceOf(PathNotFoundError);
    expect(await left()).toEqual([]);
    await expect(driver.stat(blob)).rejects.toBeInstanceOf(PathNotFoundError);
  });

  test('is not taken for one that was refused', async () => {
    const [driver, other] = [storage.driver, storage.another()];
    const [one, two] = [
      await driver.writer(path, { append: true, marker }),
      await other.writer(path, { append: true, marker }),
    ];
    await one.write(randomBytes(1000));
    await two.write(randomBytes(1000));
    await one.close();
    await expect(two.close()).rejects.toBeInstanceOf(WriterBusyError);
    expect((await driver.kept(path, { marker })).size).toBe(1000);
  });
});
