import { expect } from 'vitest';
import { type DriverCase, pattern, readAll, sha256 } from '../fixture.ts';

const mebibyte = 1024 * 1024;

export const readerCases: readonly DriverCase[] = [
  {
    name: 'a reader yields the whole object and knows its size',
    async run({ driver }) {
      for (const size of [0, 1, 70_000, mebibyte, mebibyte + 1, 3 * mebibyte + 17]) {
        const content = pattern(size);
        await driver.put('/o', content);
        const reader = await driver.reader('/o');
        expect(reader.size).toBe(size);
        expect((await readAll(reader)).equals(content)).toBe(true);
      }
    },
  },
  {
    name: 'a range yields exactly its bytes, both ends inclusive',
    async run({ driver }) {
      for (const size of [1000, 2 * mebibyte + 500]) {
        const content = pattern(size);
        await driver.put('/o', content);
        const middle = Math.floor(size / 2);
        const ranges = [
          [0, 0],
          [0, size - 1],
          [1, 1],
          [7, middle],
          [middle, size - 1],
          [size - 1, size - 1],
        ] as const;
        for (const [start, end] of ranges) {
          const reader = await driver.reader('/o', { start, end });
          expect(reader.size).toBe(end - start + 1);
          expect((await readAll(reader)).equals(content.subarray(start, end + 1))).toBe(true);
        }
      }
    },
  },
  {
    name: 'a range without an end, or with one beyond the object, goes to the end of it',
    async run({ driver }) {
      const content = pattern(5000);
      await driver.put('/o', content);
      expect((await readAll(await driver.reader('/o', { start: 4000 }))).equals(content.subarray(4000))).toBe(true);
      const reader = await driver.reader('/o', { start: 4000, end: 1_000_000 });
      expect(reader.size).toBe(1000);
      expect((await readAll(reader)).equals(content.subarray(4000))).toBe(true);
    },
  },
  {
    name: 'a start at the end reads nothing; one beyond it is INVALID_OFFSET',
    async run({ driver }) {
      for (const size of [0, 500, mebibyte]) {
        await driver.put('/o', pattern(size));
        const reader = await driver.reader('/o', { start: size });
        expect(reader.size).toBe(0);
        expect(await readAll(reader)).toHaveLength(0);
        await expect(driver.reader('/o', { start: size + 1 })).rejects.toMatchObject({
          name: 'InvalidOffsetError',
          code: 'INVALID_OFFSET',
          path: '/o',
        });
      }
    },
  },
  {
    name: 'a reader goes on with the old bytes when its object is replaced or deleted',
    async run({ driver, another }) {
      const other = await another();
      const content = pattern(4 * mebibyte);
      const actions = [() => other.put('/o', pattern(100, 2)), () => other.delete('/o')];
      for (const act of actions) {
        await driver.put('/o', content);
        const reader = await driver.reader('/o');
        const chunks: Buffer[] = [];
        for await (const chunk of reader) {
          if (chunks.length === 0) await act();
          chunks.push(Buffer.from(chunk));
        }
        expect(Buffer.concat(chunks).equals(content)).toBe(true);
      }
    },
  },
  {
    name: 'a reader may be left early, closed unread, and closed again',
    async run({ driver }) {
      await driver.put('/o', pattern(3 * mebibyte));
      const left = await driver.reader('/o');
      for await (const chunk of left) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      await left.close();
      const unread = await driver.reader('/o');
      await unread.close();
      await unread.close();
    },
  },
  {
    name: 'a reader that is closed in the middle fails instead of ending',
    async run({ driver }) {
      await driver.put('/o', pattern(5 * mebibyte));
      const reader = await driver.reader('/o');
      const read = async () => {
        for await (const chunk of reader) if (chunk.length > 0) await reader.close();
      };
      await expect(read()).rejects.toThrow();
    },
  },
  {
    name: 'an abort in the middle fails the reader with its reason',
    async run({ driver }) {
      await driver.put('/o', pattern(5 * mebibyte));
      const aborter = new AbortController();
      const reader = await driver.reader('/o', { signal: aborter.signal });
      const read = async () => {
        for await (const chunk of reader) if (chunk.length > 0) aborter.abort(new Error('client gone'));
      };
      await expect(read()).rejects.toThrow('client gone');
    },
  },
  {
    name: 'many readers of one object do not disturb each other',
    async run({ driver }) {
      const content = pattern(2 * mebibyte + 3);
      await driver.put('/o', content);
      const expected = sha256(content);
      const hashes = await Promise.all(
        Array.from({ length: 12 }, async () => sha256(await readAll(await driver.reader('/o')))),
      );
      expect(new Set(hashes)).toEqual(new Set([expected]));
    },
  },
];
