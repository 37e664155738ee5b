import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { PathNotFoundError, type StorageDriver } from '../../driver.ts';
import { readAll } from '../../testing/fixture.ts';

const mebibyte = 1024 * 1024;
const bytes = randomBytes(6 * mebibyte + 345);
const old = randomBytes(1000);

/** Something that is done to an empty storage, and what must be there when it has succeeded. */
export interface WriteScenario {
  readonly name: string;
  /** Done without faults, before. */
  prepare?(driver: StorageDriver): Promise<void>;
  run(driver: StorageDriver): Promise<void>;
  /** Objects afterwards, with their bytes. There is nothing else. */
  readonly after: Readonly<Record<string, Uint8Array>>;
  /** Those that may be there also when it has failed, whole; undefined stands for nothing. */
  readonly failed: Readonly<Record<string, readonly (Uint8Array | undefined)[]>>;
}

/** Everything that a driver writes or deletes, in the ways in which a registry does it. */
export const writeScenarios: readonly WriteScenario[] = [
  {
    name: 'a put that replaces',
    prepare: (driver) => driver.put('/link', old),
    run: (driver) => driver.put('/link', bytes.subarray(0, 2000)),
    after: { '/link': bytes.subarray(0, 2000) },
    failed: { '/link': [old, bytes.subarray(0, 2000)] },
  },
  {
    name: 'several puts',
    run: (driver) =>
      driver.putAll([
        { path: '/first', content: bytes.subarray(0, 1000) },
        { path: '/second', content: bytes.subarray(0, 2000) },
      ]),
    after: { '/first': bytes.subarray(0, 1000), '/second': bytes.subarray(0, 2000) },
    failed: { '/first': [undefined, bytes.subarray(0, 1000)], '/second': [undefined, bytes.subarray(0, 2000)] },
  },
  {
    name: 'a small object through a writer',
    async run(driver) {
      const writer = await driver.writer('/object');
      await writer.write(bytes.subarray(0, 300_000));
      await writer.commit();
    },
    after: { '/object': bytes.subarray(0, 300_000) },
    failed: { '/object': [undefined, bytes.subarray(0, 300_000)] },
  },
  {
    name: 'a large object through a writer',
    run: async (driver) => write(await driver.writer('/object'), (writer) => writer.commit()),
    after: { '/object': bytes },
    failed: { '/object': [undefined, bytes] },
  },
  {
    name: 'an upload that goes where it will be',
    async run(driver) {
      await driver.put('/uploads/1/startedat', old);
      const writer = await driver.writer('/uploads/1/data', {
        append: true,
        to: '/blob',
        marker: '/uploads/1/startedat',
      });
      await write(writer, () => writer.commit('/blob', [{ path: '/link', content: old }]));
      await driver.delete('/uploads/1', { names: ['startedat', 'data'] });
    },
    after: { '/blob': bytes, '/link': old },
    failed: { '/blob': [undefined, bytes], '/link': [undefined, old] },
  },
  {
    name: 'an upload in several pieces',
    async run(driver) {
      for (let start = 0; start < bytes.length; start += 2 * mebibyte) {
        const writer = await driver.writer('/uploads/1/data', { append: true });
        expect(writer.size).toBe(start);
        await writer.write(bytes.subarray(start, start + 2 * mebibyte));
        await writer.close(`up to ${start}`);
      }
      const writer = await driver.writer('/uploads/1/data', { append: true });
      expect((await readAll(await writer.reader())).equals(bytes)).toBe(true);
      await writer.commit('/blob');
      await driver.delete('/uploads/1');
    },
    after: { '/blob': bytes },
    failed: { '/blob': [undefined, bytes] },
  },
  {
    name: 'an upload in one piece that was kept',
    async run(driver) {
      const first = await driver.writer('/uploads/1/data', { append: true });
      await first.write(bytes.subarray(0, 3 * mebibyte));
      await first.close();
      const { version } = first;
      const second = await driver.writer('/uploads/1/data', { append: true, version });
      await second.commit('/blob');
      await driver.delete('/uploads/1');
    },
    after: { '/blob': bytes.subarray(0, 3 * mebibyte) },
    failed: { '/blob': [undefined, bytes.subarray(0, 3 * mebibyte)] },
  },
  {
    name: 'an upload that is cancelled',
    async run(driver) {
      const writer = await driver.writer('/uploads/1/data', { append: true, to: '/blob' });
      await write(writer, () => writer.cancel());
    },
    after: {},
    failed: {},
  },
  {
    name: 'an upload that breaks off, and is deleted',
    async run(driver) {
      await driver.put('/uploads/1/startedat', old);
      const direct = await driver.writer('/uploads/1/data', { append: true, to: '/blob' });
      await write(direct, () => direct.close());
      const kept = await driver.writer('/uploads/1/data', { append: true });
      await write(kept, () => kept.close());
      await driver.delete('/uploads/1');
    },
    after: {},
    failed: {},
  },
  {
    name: 'a deletion',
    async prepare(driver) {
      for (const path of ['/kept', '/object', '/folder/a', '/folder/b/c']) await driver.put(path, old);
    },
    async run(driver) {
      await driver.delete('/object');
      await driver.delete('/folder');
    },
    after: { '/kept': old },
    failed: {
      '/kept': [old],
      '/object': [undefined, old],
      '/folder/a': [undefined, old],
      '/folder/b/c': [undefined, old],
    },
  },
];

/** What is below the folders of uploads belongs to nobody once they are deleted. */
export async function deleteUploads(driver: StorageDriver): Promise<void> {
  for (const path of ['/uploads', '/object.berth']) {
    await driver.delete(path).catch((error: unknown) => {
      if (!(error instanceof PathNotFoundError)) throw error;
    });
  }
}

/** Writes all bytes and ends the writer; one that fails is cancelled, as whoever writes does it. */
async function write(
  writer: Awaited<ReturnType<StorageDriver['writer']>>,
  end: (writer: Awaited<ReturnType<StorageDriver['writer']>>) => Promise<void>,
): Promise<void> {
  try {
    for (let start = 0; start < bytes.length; start += 100_000)
      await writer.write(bytes.subarray(start, start + 100_000));
    await end(writer);
  } catch (error) {
    await writer.cancel().catch(() => undefined);
    throw error;
  }
}
