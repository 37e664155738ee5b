import { expect } from 'vitest';
import { type DriverCase, keep, pattern, readAll, sha256 } from '../fixture.ts';

const mebibyte = 1024 * 1024;
const upload = '/repositories/a/_uploads/1/data';
const blob = '/blobs/sha256/ab/abcd/data';

export const writerCases: readonly DriverCase[] = [
  {
    name: 'nothing is seen of a new object until it is committed',
    async run({ driver, another }) {
      const other = await another();
      const writer = await driver.writer('/o');
      expect(writer.size).toBe(0);
      await writer.write(Buffer.from('new'));
      expect(writer.size).toBe(3);
      await expect(other.get('/o')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await writer.commit();
      expect((await other.get('/o')).toString()).toBe('new');
    },
  },
  {
    name: 'readers see the old object until the new one is committed',
    async run({ driver }) {
      await driver.put('/o', Buffer.from('old'));
      const writer = await driver.writer('/o');
      await writer.write(pattern(mebibyte));
      expect((await driver.get('/o')).toString()).toBe('old');
      await writer.commit();
      expect((await driver.stat('/o')).size).toBe(mebibyte);
    },
  },
  {
    name: 'a cancelled writer leaves the old object',
    async run({ driver }) {
      await driver.put('/o', Buffer.from('old'));
      const writer = await driver.writer('/o');
      await writer.write(pattern(mebibyte));
      await writer.cancel();
      expect((await driver.get('/o')).toString()).toBe('old');
    },
  },
  {
    name: 'a commit to another path publishes there, and the own path vanishes',
    async run({ driver, another }) {
      const other = await another();
      const content = pattern(3 * mebibyte + 5);
      const writer = await driver.writer(upload, { append: true });
      await writer.write(content);
      await expect(other.stat(blob)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await writer.commit(blob);
      expect(sha256(await readAll(await other.reader(blob)))).toBe(sha256(content));
      await expect(other.stat(upload)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    },
  },
  {
    name: 'what precedes a commit is there with it, and not when the writer is cancelled',
    async run({ driver, another }) {
      for (const append of [true, false]) {
        const preceding = [{ path: `/links/${append}/link`, content: Buffer.from('link') }];
        const cancelled = await driver.writer(`/uploads/${append}/data`, { append });
        await cancelled.write(Buffer.from('bytes'));
        await cancelled.cancel();
        const writer = await driver.writer(`/uploads/${append}/data`, { append });
        await writer.write(Buffer.from('bytes'));
        await writer.commit(`/blobs/${append}/data`, preceding);
        const other = await another();
        expect((await other.get(`/blobs/${append}/data`)).toString()).toBe('bytes');
        expect((await other.get(`/links/${append}/link`)).toString()).toBe('link');
      }
    },
  },
  {
    name: 'a commit replaces what is under its target',
    async run({ driver }) {
      await driver.put(blob, Buffer.from('old'));
      for (const append of [true, false]) {
        const writer = await driver.writer(upload, { append });
        await writer.write(Buffer.from(`new ${append}`));
        await writer.commit(blob);
        expect((await driver.get(blob)).toString()).toBe(`new ${append}`);
      }
    },
  },
  {
    name: 'a writer without append commits to another path and leaves what its own path had',
    async run({ driver }) {
      await driver.put('/own', Buffer.from('old'));
      const writer = await driver.writer('/own');
      await writer.write(Buffer.from('new'));
      await writer.commit('/far/away');
      expect((await driver.get('/far/away')).toString()).toBe('new');
      expect((await driver.get('/own')).toString()).toBe('old');
    },
  },
  {
    name: 'what was kept goes on in later writers, also in those of other processes',
    async run({ driver, another }) {
      const other = await another();
      const parts = [pattern(1000, 1), pattern(700_000, 2), pattern(1, 3), pattern(2 * mebibyte, 4)];
      let size = 0;
      for (const [index, part] of parts.entries()) {
        const writer = await (index % 2 ? driver : other).writer(upload, { append: true });
        expect(writer.size).toBe(size);
        await writer.write(part);
        size += part.length;
        expect(writer.size).toBe(size);
        await writer.close();
        expect((await driver.stat(upload)).size).toBe(size);
      }
      expect(sha256(await readAll(await driver.reader(upload)))).toBe(sha256(...parts));
      const last = await other.writer(upload, { append: true });
      await last.commit(blob);
      expect(sha256(await readAll(await driver.reader(blob)))).toBe(sha256(...parts));
    },
  },
  {
    name: 'an append writer goes on behind an object that was put',
    async run({ driver }) {
      await driver.put('/o', Buffer.from('put '));
      await keep(driver, '/o', Buffer.from('and appended'));
      expect((await driver.get('/o')).toString()).toBe('put and appended');
    },
  },
  {
    name: 'an append writer may commit to its own path, or to the one that it has by name',
    async run({ driver }) {
      for (const to of [undefined, '/o']) {
        const writer = await driver.writer('/o', { append: true });
        await writer.write(Buffer.from('x'));
        await writer.commit(to);
      }
      expect((await driver.get('/o')).toString()).toBe('xx');
    },
  },
  {
    name: 'a writer without append starts empty whatever was kept',
    async run({ driver }) {
      await keep(driver, '/o', Buffer.from('kept before'));
      const writer = await driver.writer('/o');
      expect(writer.size).toBe(0);
      await writer.write(Buffer.from('fresh'));
      await writer.close();
      expect((await driver.get('/o')).toString()).toBe('fresh');
      await keep(driver, '/o', Buffer.from(' and more'));
      expect((await driver.get('/o')).toString()).toBe('fresh and more');
    },
  },
  {
    name: 'a writer that was given nothing makes an empty object',
    async run({ driver }) {
      for (const append of [true, false]) {
        await (await driver.writer(`/kept/${append}`, { append })).close();
        expect((await driver.stat(`/kept/${append}`)).size).toBe(0);
        const writer = await driver.writer(`/own/${append}`, { append });
        await writer.write(Buffer.alloc(0));
        await writer.commit(`/committed/${append}`);
        expect(await driver.get(`/committed/${append}`)).toHaveLength(0);
      }
    },
  },
  {
    name: 'pieces of every size arrive in order, with or without waiting for each',
    async run({ driver }) {
      const pieces = Array.from({ length: 3000 }, (_, index) => pattern((index * 37) % 3001, index + 1));
      const large = [pattern(mebibyte, 7), pattern(10, 8), pattern(700_001, 9), pattern(600_000, 10)];
      const all = [...pieces, ...large, ...pieces.slice(0, 100)];
      const waiting = await driver.writer('/waiting');
      for (const piece of all) await waiting.write(piece);
      await waiting.commit();
      const hasty = await driver.writer('/hasty');
      const writes = all.map((piece) => hasty.write(piece));
      await Promise.all([...writes, hasty.commit()]);
      for (const path of ['/waiting', '/hasty']) {
        expect(sha256(await readAll(await driver.reader(path)))).toBe(sha256(...all));
      }
    },
  },
  {
    name: 'a large object arrives as it was sent',
    async run({ driver, another }) {
      const piece = pattern(64 * 1024);
      const count = 320;
      const writer = await driver.writer(upload, { append: true });
      for (let index = 0; index < count; index += 1) await writer.write(piece);
      expect(writer.size).toBe(count * piece.length);
      await writer.commit(blob);
      const reader = await (await another()).reader(blob);
      expect(reader.size).toBe(count * piece.length);
      expect(sha256(await readAll(reader))).toBe(sha256(...Array.from({ length: count }, () => piece)));
    },
  },
  {
    name: 'one writer at a time has a path, over all processes',
    async run({ driver, another }) {
      const other = await another();
      const busy = { name: 'WriterBusyError', code: 'WRITER_BUSY', path: upload };
      const ends = ['close', 'commit', 'cancel'] as const;
      for (const end of ends) {
        const writer = await driver.writer(upload, { append: true });
        await expect(driver.writer(upload, { append: true })).rejects.toMatchObject(busy);
        await expect(other.writer(upload, { append: true })).rejects.toMatchObject(busy);
        await expect(other.writer(upload)).rejects.toMatchObject(busy);
        const elsewhere = await other.writer(`${upload}2`, { append: true });
        await elsewhere.cancel();
        await writer[end]();
        await (await other.writer(upload, { append: true })).cancel();
      }
    },
  },
  {
    name: 'of many writers that want a path at the same time one gets it',
    async run({ driver, another }) {
      const other = await another();
      const attempts = await Promise.allSettled(
        Array.from({ length: 12 }, (_, index) => (index % 2 ? driver : other).writer(upload, { append: true })),
      );
      const got = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
      expect(got).toHaveLength(1);
      for (const attempt of attempts) {
        if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'WRITER_BUSY' });
      }
      await got[0]?.cancel();
    },
  },
  {
    name: 'cancel drops everything, also what was kept before',
    async run({ driver }) {
      await keep(driver, upload, pattern(1000));
      const writer = await driver.writer(upload, { append: true });
      await writer.write(pattern(2 * mebibyte));
      await writer.cancel();
      await expect(driver.stat(upload)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      const next = await driver.writer(upload, { append: true });
      expect(next.size).toBe(0);
      await next.cancel();
    },
  },
  {
    name: 'a writer ends once; a cancel after its success does nothing',
    async run({ driver }) {
      const writer = await driver.writer('/o');
      await writer.write(Buffer.from('x'));
      await writer.commit();
      await expect(writer.write(Buffer.from('y'))).rejects.toBeInstanceOf(TypeError);
      await expect(writer.commit()).rejects.toBeInstanceOf(TypeError);
      await expect(writer.close()).rejects.toBeInstanceOf(TypeError);
      await writer.cancel();
      expect((await driver.get('/o')).toString()).toBe('x');
    },
  },
  {
    name: 'concurrent commits to one path all succeed',
    async run({ driver, another }) {
      const other = await another();
      const content = pattern(300_000);
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const writer = await (index % 2 ? driver : other).writer(`/uploads/${index}/data`, { append: index % 4 < 2 });
          await writer.write(content);
          await writer.commit(blob);
        }),
      );
      expect((await readAll(await driver.reader(blob))).equals(content)).toBe(true);
    },
  },
];
