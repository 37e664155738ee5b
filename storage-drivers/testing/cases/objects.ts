import { expect } from 'vitest';
import { type DriverCase, namesOf, pattern } from '../fixture.ts';

/** `get`, `put` and `stat`. */
export const objectCases: readonly DriverCase[] = [
  {
    name: 'what was put is what is got, also through another process',
    async run({ driver, another }) {
      await driver.put('/a/b/link', Buffer.from('sha256:1234'));
      expect(await driver.get('/a/b/link')).toEqual(Buffer.from('sha256:1234'));
      expect(await (await another()).get('/a/b/link')).toEqual(Buffer.from('sha256:1234'));
    },
  },
  {
    name: 'put takes any Uint8Array, and the caller may change it afterwards',
    async run({ driver }) {
      const bytes = new Uint8Array([1, 2, 3, 4]).subarray(1, 3);
      await driver.put('/a', bytes);
      bytes.fill(9);
      expect([...(await driver.get('/a'))]).toEqual([2, 3]);
    },
  },
  {
    name: 'several objects are put in their order, with or without folders in common',
    async run({ driver, another }) {
      const objects = [
        '/b/data',
        '/r/_manifests/revisions/1/link',
        '/r/_manifests/tags/x/current/link',
        '/b/data2',
      ].map((path) => ({ path, content: Buffer.from(path) }));
      await driver.putAll(objects);
      await driver.putAll(objects.map(({ path }) => ({ path, content: Buffer.from(`${path} again`) })));
      const other = await another();
      for (const { path } of objects) expect((await other.get(path)).toString()).toBe(`${path} again`);
      await driver.putAll([]);
    },
  },
  {
    name: 'the same objects put by many at once are all there',
    async run({ driver, another }) {
      const objects = Array.from({ length: 8 }, (_, index) => ({
        path: `/x/y/${index % 3}/${index}/link`,
        content: Buffer.from(String(index)),
      }));
      const drivers = [driver, await another()];
      await Promise.all(Array.from({ length: 10 }, (_, index) => drivers[index % 2]?.putAll(objects)));
      for (const { path, content } of objects) expect(await driver.get(path)).toEqual(content);
    },
  },
  {
    name: 'objects of one new folder are all there, however many make its neighbours at once',
    async run({ driver, another }) {
      const drivers = [driver, await another()];
      const names = Array.from({ length: 40 }, (_, index) => `/new/deep/uploads/${index}`);
      await Promise.all(
        names.map((folder, index) =>
          drivers[index % 2]?.putAll(
            [
              { path: `${folder}/startedat`, content: Buffer.from('now') },
              { path: `${folder}/data`, content: Buffer.alloc(0) },
            ],
            { durable: index % 4 === 0 },
          ),
        ),
      );
      for (const folder of names) {
        expect(await namesOf(driver, folder)).toEqual(['data', 'startedat']);
        expect((await driver.get(`${folder}/startedat`)).toString()).toBe('now');
      }
    },
  },
  {
    name: 'get refuses what is longer than it may be, whether it was read before or not',
    async run({ driver, another }) {
      const content = pattern(3000);
      await driver.put('/long', content);
      for (const each of [driver, await another()]) {
        const fault = { name: 'ObjectTooLargeError', code: 'OBJECT_TOO_LARGE', driver: driver.name, path: '/long' };
        await expect(each.get('/long', { maxSize: 2999 })).rejects.toMatchObject(fault);
        expect(await each.get('/long', { maxSize: 3000 })).toEqual(content);
        await expect(each.get('/long', { maxSize: 2999 })).rejects.toMatchObject(fault);
      }
    },
  },
  {
    name: 'an empty object is an object',
    async run({ driver }) {
      await driver.put('/empty', Buffer.alloc(0));
      expect(await driver.get('/empty')).toHaveLength(0);
      expect(await driver.stat('/empty')).toMatchObject({ kind: 'object', size: 0 });
    },
  },
  {
    name: 'put replaces an object by a shorter and by a longer one',
    async run({ driver }) {
      for (const text of ['first', '2', 'the third']) {
        await driver.put('/a/link', Buffer.from(text));
        expect((await driver.get('/a/link')).toString()).toBe(text);
        expect((await driver.stat('/a/link')).size).toBe(text.length);
      }
    },
  },
  {
    name: 'a get after a put by another process sees its bytes, however soon and often',
    async run({ driver, another }) {
      const other = await another();
      for (let round = 0; round < 50; round += 1) {
        const text = `sha256:${String(round).padStart(4, '0')}`;
        await (round % 2 === 0 ? driver : other).put('/tags/latest/current/link', Buffer.from(text));
        expect((await driver.get('/tags/latest/current/link')).toString()).toBe(text);
        expect((await other.get('/tags/latest/current/link')).toString()).toBe(text);
      }
    },
  },
  {
    name: 'readers see the old or the new bytes while an object is replaced, never a mix',
    async run({ driver, another }) {
      const versions = [Buffer.alloc(200_000, 'a'), Buffer.alloc(150_000, 'b')];
      const [first] = versions;
      await driver.put('/x/object', first ?? Buffer.alloc(0));
      const other = await another();
      let writing = true;
      const read = async () => {
        let reads = 0;
        for (; writing || reads === 0; reads += 1) {
          const content = await other.get('/x/object');
          expect(versions.some((version) => version.equals(content))).toBe(true);
        }
      };
      const readers = [read(), read()];
      for (let round = 0; round < 20; round += 1) {
        await driver.put('/x/object', versions[round % 2] ?? Buffer.alloc(0), { durable: false });
      }
      writing = false;
      await Promise.all(readers);
    },
  },
  {
    name: 'concurrent puts of one path leave one of the contents, whole',
    async run({ driver, another }) {
      const other = await another();
      const contents = Array.from({ length: 16 }, (_, index) => pattern(20_000 + index, index + 1));
      await Promise.all(contents.map((content, index) => (index % 2 ? driver : other).put('/new/a/b/data', content)));
      const found = await driver.get('/new/a/b/data');
      expect(contents.some((content) => content.equals(found))).toBe(true);
      expect(await namesOf(driver, '/new/a/b')).toEqual(['data']);
    },
  },
  {
    name: 'concurrent puts below a folder that does not exist yet all succeed',
    async run({ driver, another }) {
      const other = await another();
      const paths = Array.from({ length: 24 }, (_, index) => `/r/new/x${index % 3}/y${index}/link`);
      await Promise.all(paths.map((path, index) => (index % 2 ? driver : other).put(path, Buffer.from(path))));
      for (const path of paths) expect((await driver.get(path)).toString()).toBe(path);
    },
  },
  {
    name: 'an object that need not survive a power cut is there at once like any other',
    async run({ driver }) {
      await driver.put('/marks/a', Buffer.from('1'), { durable: false });
      await driver.put('/marks/a', Buffer.from('2'), { durable: false });
      expect((await driver.get('/marks/a')).toString()).toBe('2');
    },
  },
  {
    name: 'stat tells objects from folders',
    async run({ driver }) {
      const before = Date.now();
      await driver.put('/a/b/c', pattern(1000));
      const stat = await driver.stat('/a/b/c');
      expect(stat).toMatchObject({ kind: 'object', size: 1000 });
      // The storage may have a clock of its own.
      expect(Math.abs((stat.modified?.getTime() ?? 0) - before)).toBeLessThan(60_000);
      expect(await driver.stat('/a/b')).toMatchObject({ kind: 'folder', size: 0 });
      expect(await driver.stat('/a')).toMatchObject({ kind: 'folder', size: 0 });
    },
  },
  {
    name: 'stat sees what came, changed and went since it was asked before',
    async run({ driver, another }) {
      const other = await another();
      await expect(driver.stat('/a/b')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await other.put('/a/b', pattern(10));
      expect((await driver.stat('/a/b')).size).toBe(10);
      await other.put('/a/b', pattern(20));
      expect((await driver.stat('/a/b')).size).toBe(20);
      await other.delete('/a/b');
      await expect(driver.stat('/a/b')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    },
  },
  {
    name: 'what is not there is PATH_NOT_FOUND and says which driver and path',
    async run({ driver }) {
      await driver.put('/a/object', Buffer.from('x'));
      for (const path of ['/missing', '/missing/deeper', '/a/missing', '/a/object/below']) {
        const fault = { name: 'PathNotFoundError', code: 'PATH_NOT_FOUND', driver: driver.name, path };
        await expect(driver.get(path)).rejects.toMatchObject(fault);
        await expect(driver.reader(path)).rejects.toMatchObject(fault);
        await expect(driver.stat(path)).rejects.toMatchObject(fault);
        await expect(driver.delete(path)).rejects.toMatchObject(fault);
      }
    },
  },
  {
    name: 'a folder is no object',
    async run({ driver }) {
      await driver.put('/a/object', Buffer.from('x'));
      await expect(driver.get('/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await expect(driver.reader('/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    },
  },
  {
    name: 'names may hold every character of a segment, and look like temporary files when they are folders',
    async run({ driver }) {
      const paths = ['/-a._+=~@:Z0/x', '/..a/...', '/v1.tmp/link', '/a.tmp/b.tmp/c'];
      for (const path of paths) await driver.put(path, Buffer.from(path));
      for (const path of paths) expect((await driver.get(path)).toString()).toBe(path);
    },
  },
  {
    name: 'an aborted signal ends a call with its reason',
    async run({ driver }) {
      await driver.put('/a', Buffer.from('x'));
      const signal = AbortSignal.abort(new Error('client gone'));
      await expect(driver.get('/a', { signal })).rejects.toThrow('client gone');
      await expect(driver.stat('/a', { signal })).rejects.toThrow('client gone');
      await expect(driver.reader('/a', { signal })).rejects.toThrow('client gone');
      await expect(namesOf(driver, '/a', { signal })).rejects.toThrow('client gone');
    },
  },
];
