import { expect } from 'vitest';
import type { StorageDriver } from '../../driver.ts';
import { type DriverCase, namesOf } from '../fixture.ts';

const empty = Buffer.from('x');

async function putAll(driver: StorageDriver, paths: readonly string[]): Promise<void> {
  const queue = [...paths];
  const worker = async () => {
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      await driver.put(path, empty, { durable: false });
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

export const listingCases: readonly DriverCase[] = [
  {
    name: 'a listing has the objects and folders directly below, each once',
    async run({ driver }) {
      await putAll(driver, ['/f/object', '/f/folder/a', '/f/folder/b/c', '/f/other/x', '/elsewhere']);
      const entries: unknown[] = [];
      for await (const entry of driver.list('/f')) entries.push({ ...entry });
      expect(entries).toEqual([
        { name: 'folder', kind: 'folder' },
        { name: 'object', kind: 'object' },
        { name: 'other', kind: 'folder' },
      ]);
    },
  },
  {
    name: 'a folder that does not exist has no names, and neither has an object',
    async run({ driver }) {
      await driver.put('/f/object', empty);
      expect(await namesOf(driver, '/missing')).toEqual([]);
      expect(await namesOf(driver, '/missing/deeper')).toEqual([]);
      expect(await namesOf(driver, '/f/object')).toEqual([]);
    },
  },
  {
    name: 'names come in byte order, folders and objects mixed',
    async run({ driver }) {
      const sorted = [
        '-',
        '1',
        '10',
        '2',
        'A',
        'Z',
        '_a',
        'a',
        'a+b',
        'a-b',
        'a.b',
        'a0',
        'a:b',
        'a=b',
        'aa',
        'a~b',
        'b',
      ];
      const order = [...sorted].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      await putAll(
        driver,
        order.map((name, index) => (index % 2 ? `/f/${name}` : `/f/${name}/x`)),
      );
      expect(await namesOf(driver, '/f')).toEqual(order);
      for (const [index, name] of order.entries()) {
        expect(await namesOf(driver, '/f', { after: name })).toEqual(order.slice(index + 1));
      }
    },
  },
  {
    name: 'a listing begins behind a name that need not exist',
    async run({ driver }) {
      await putAll(driver, ['/f/b', '/f/d/x', '/f/d-e', '/f/f', '/f/h']);
      const listings: [after: string, names: string[]][] = [
        ['a', ['b', 'd', 'd-e', 'f', 'h']],
        ['c', ['d', 'd-e', 'f', 'h']],
        ['d', ['d-e', 'f', 'h']],
        ['d/', ['f', 'h']],
        ['h', []],
        ['zzz', []],
      ];
      for (const [after, names] of listings) expect(await namesOf(driver, '/f', { after }), after).toEqual(names);
    },
  },
  {
    name: '3,000 names are listed whole and in pages',
    async run({ driver }) {
      const names = Array.from({ length: 3000 }, (_, index) => `v${index}`).sort();
      await putAll(
        driver,
        names.map((name) => `/f/${name}/link`),
      );
      expect(await namesOf(driver, '/f')).toEqual(names);
      const paged: string[] = [];
      const takePage = async (after?: string) => {
        let left = 700;
        for await (const { name } of driver.list('/f', after === undefined ? {} : { after })) {
          paged.push(name);
          left -= 1;
          if (left === 0) break;
        }
      };
      for (let before = -1; paged.length > before; ) {
        before = paged.length;
        await takePage(paged.at(-1));
      }
      expect(paged).toEqual(names);
    },
  },
  {
    name: 'a listing may be abandoned',
    async run({ driver }) {
      await putAll(driver, ['/f/a', '/f/b', '/f/c']);
      for await (const { name } of driver.list('/f')) {
        expect(name).toBe('a');
        break;
      }
      expect(await namesOf(driver, '/f')).toEqual(['a', 'b', 'c']);
    },
  },
  {
    name: 'a listing sees what came and went since the last one, through any process',
    async run({ driver, another }) {
      const other = await another();
      const expected: string[] = [];
      for (let index = 0; index < 30; index += 1) {
        const name = `n${String(index).padStart(2, '0')}`;
        await (index % 2 ? driver : other).put(`/f/${name}/link`, empty);
        expected.push(name);
        expect(await namesOf(driver, '/f')).toEqual(expected);
        if (index % 5 === 4) {
          await other.delete(`/f/${expected.shift()}`);
          expect(await namesOf(driver, '/f')).toEqual(expected);
        }
      }
    },
  },
  {
    name: 'folders are told from objects and from what is not there, by a driver that can be asked for many',
    async run({ driver }) {
      await putAll(driver, ['/f/a/x', '/f/a-b', '/f/a-b-c/x', '/f/a.b/x', '/f/b/c/x', '/g/c/x']);
      const names = ['a', 'a-b', 'a-b-c', 'a-b-c-d', 'a.', 'a.b', 'b', 'c'];
      const found = await driver.folders?.('/f', names);
      expect(found && [...found].sort()).toEqual(driver.folders && ['a', 'a-b-c', 'a.b', 'b']);
      expect(await driver.folders?.('/missing', names)).toEqual(driver.folders && []);
    },
  },
  {
    name: 'objects at any depth are listed with their dates, by a driver that lists objects',
    async run({ driver }) {
      await putAll(driver, ['/f/a/link', '/f/a-b/link', '/f/b/c/d/link', '/f-g/link', '/f/e']);
      const found: string[] = [];
      for await (const { path, modified } of driver.objects?.('/f') ?? []) {
        found.push(path);
        expect(Math.abs(Date.now() - (modified?.getTime() ?? 0))).toBeLessThan(600_000);
      }
      expect(found).toEqual(driver.objects === undefined ? [] : ['a-b/link', 'a/link', 'b/c/d/link', 'e']);
    },
  },
];
