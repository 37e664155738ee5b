import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { StorageDriver } from '../driver.ts';
import { keptBytes, readAll } from '../testing/fixture.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

const timeout = 120_000;
const chunks = 2_100;
const folder = '/uploads/1';
const path = `${folder}/data`;
const marker = `${folder}/startedat`;
let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
}, timeout);
afterAll(() => storage.dispose(), timeout);

const byte = (index: number) => Buffer.from([index % 251]);

/** Keeps one byte more, and says what was asked of the server for it. */
async function keepOne(driver: StorageDriver, index: number): Promise<string[]> {
  storage.proxy.forget();
  const writer = await driver.writer(path, { append: true, marker });
  expect(writer.size).toBe(index);
  await writer.write(byte(index));
  await writer.close();
  return [...storage.proxy.operations];
}

describe('an upload of many small chunks', { timeout }, () => {
  beforeEach(async () => {
    const { bucket, parameters, driver } = storage;
    await driver.begin(path, { path: marker, content: Buffer.from('now') });
    const names = Array.from({ length: chunks }, (_, index) => index);
    const lane = async () => {
      for (let index = names.pop(); index !== undefined; index = names.pop()) {
        const Key = `${String(parameters.rootdirectory).slice(1)}${path}.berth/${String(index).padStart(16, '0')}`;
        await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body: byte(index) }));
      }
    };
    await Promise.all(Array.from({ length: 16 }, lane));
  }, timeout);

  test('costs the same for each, in each process that knows those before', async () => {
    const { driver } = storage;
    const other = storage.another();
    const [list, put] = ['ListObjectsV2', 'PutObject'];
    expect(await keepOne(driver, chunks)).toEqual([list, list, list, put]);
    expect(await keepOne(driver, chunks + 1)).toEqual([list, put]);
    expect(await keepOne(other, chunks + 2)).toEqual([list, list, list, put]);
    for (let index = chunks + 3; index < chunks + 9; index += 1) {
      expect(await keepOne(index % 2 ? driver : other, index)).toEqual([list, put]);
    }
    storage.proxy.forget();
    expect((await driver.kept(path, { marker })).size).toBe(chunks + 9);
    expect(storage.proxy.operations).toEqual([list]);

    const expected = Buffer.concat(Array.from({ length: chunks + 9 }, (_, index) => byte(index)));
    expect((await keptBytes(other, path)).equals(expected)).toBe(true);
    await (await driver.writer(path, { append: true, marker, to: '/blob' })).commit('/blob');
    expect((await readAll(await driver.reader('/blob'))).equals(expected)).toBe(true);
    await driver.delete(folder, { names: ['startedat', 'data'] });
    await expect(storage.truth.stat(folder)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  test('is looked at anew when it is another one by now', async () => {
    const { driver } = storage;
    const other = storage.another();
    const known = await driver.kept(path, { marker });
    expect(known.size).toBe(chunks);
    await (await other.writer(path, { append: true, marker })).cancel();
    await keepOne(driver, 0);
    await keepOne(other, 1);
    expect((await driver.kept(path, { marker })).size).toBe(2);
    await driver.delete(folder);
    await expect(driver.kept(path, { marker })).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });
});
