import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StorageWriter } from '../driver.ts';
import { keptBytes, pattern, readAll } from '../testing/fixture.ts';
import { memory } from './memory.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

const timeout = 180_000;
const mebibyte = 1024 * 1024;
const piece = 64 * 1024;
const uploads = 60;
let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage({ chunksize: 10 * mebibyte });
}, timeout);
afterAll(() => storage.dispose(), timeout);

const source = pattern(12 * mebibyte + uploads * 1000);

/** What the client of that number sends. */
const contentOf = (index: number, size: number) => source.subarray(index * 1000, index * 1000 + size);

/** Gives each writer that many bytes of its content in turn, as clients at the same time do it, and then nothing more. */
async function fill(writers: readonly StorageWriter[], to: number): Promise<number> {
  let most = 0;
  for (let start = 0; start < to; start += piece) {
    await Promise.all(
      writers.map((writer, index) => writer.write(contentOf(index, to).subarray(start, start + piece))),
    );
    most = Math.max(most, memory.inUse);
  }
  return most;
}

describe('any number of uploads whose clients send nothing more', { timeout }, () => {
  test('hold little memory together, and keep every byte', async () => {
    const { driver } = storage;
    const paths = Array.from({ length: uploads }, (_, index) => `/appended/${index}/data`);
    const writers = await Promise.all(paths.map((path) => driver.writer(path, { append: true })));
    expect(await fill(writers, 5 * mebibyte)).toBeLessThan(110 * mebibyte);
    for (const writer of writers) await writer.close();
    expect(memory.inUse).toBe(0);
    for (const [index, path] of paths.entries()) {
      expect((await keptBytes(driver, path)).equals(contentOf(index, 5 * mebibyte)), path).toBe(true);
    }
  });

  test.each([3 * mebibyte, 12 * mebibyte])('also where they go to their place at once (%i bytes)', async (size) => {
    const { driver } = storage;
    const ids = Array.from({ length: uploads }, (_, index) => index);
    const writers = await Promise.all(
      ids.map((id) => driver.writer(`/direct/${id}/data`, { append: true, to: `/blobs/${size}/${id}` })),
    );
    expect(await fill(writers, size)).toBeLessThan(110 * mebibyte);
    await Promise.all(writers.map((writer, id) => writer.commit(`/blobs/${size}/${id}`)));
    expect(memory.inUse).toBe(0);
    for (const id of ids) {
      const bytes = await readAll(await driver.reader(`/blobs/${size}/${id}`));
      expect(bytes.equals(contentOf(id, size)), String(id)).toBe(true);
      await driver.delete(`/direct/${id}`, { names: ['data'] });
    }
    expect(await storage.uploads()).toEqual([]);
    await expect(storage.truth.stat('/direct')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  test('leave nothing when they break off', async () => {
    const { driver } = storage;
    const ids = Array.from({ length: uploads }, (_, index) => index);
    const writers = await Promise.all(
      ids.map((id) => driver.writer(`/broken/${id}/data`, { append: true, to: `/never/${id}` })),
    );
    await fill(writers, 7 * mebibyte);
    const before = await storage.uploads();
    expect(before.length).toBeGreaterThan(0);
    await Promise.all(writers.map((writer, id) => (id % 2 ? writer.close() : writer.cancel())));
    expect(memory.inUse).toBe(0);
    expect(await storage.uploads()).toEqual([]);
    for (const folder of ['/broken', '/never']) {
      await expect(storage.truth.stat(folder)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    }
  });
});
