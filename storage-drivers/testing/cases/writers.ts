import { expect } from 'vitest';
import { type DriverCase, keep, keptBytes, pattern, readAll, sha256 } from '../fixture.ts';

const mebibyte = 1024 * 1024;
const upload = '/repositories/a/_uploads/1/data';
const blob = '/blobs/sha256/ab/abcd/data';

function ignoreMissing(error: unknown): void {
  expect(error).toMatchObject({ code: 'PATH_NOT_FOUND' });
}

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
    name: 'a commit to another path publishes there, and what was kept can be deleted',
    async run({ driver, another }) {
      const other = await another();
      const content = pattern(3 * mebibyte + 5);
      const writer = await driver.writer(upload, { append: true });
      await writer.write(content);
      await expect(other.stat(blob)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await writer.commit(blob);
      expect(sha256(await readAll(await other.reader(blob)))).toBe(sha256(content));
      await driver.delete('/repositories/a/_uploads/1').catch(ignoreMissing);
      await expect(other.kept(upload)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      expect(sha256(await readAll(await other.reader(blob)))).toBe(sha256(content));
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
        expect((await driver.kept(upload)).size).toBe(size);
      }
      expect(sha256(await keptBytes(driver, upload))).toBe(sha256(...parts));
      const last = await other.writer(upload, { append: true });
      await last.commit(blob);
      expect(sha256(await readAll(await driver.reader(blob)))).toBe(sha256(...parts));
    },
  },
  {
    name: 'a version stands for the bytes that are kept, and for no others',
    async run({ driver, another }) {
      const other = await another();
      const writer = await driver.writer(upload, { append: true });
      await writer.write(Buffer.from('one'));
      await writer.close();
      const next = await other.writer(upload, { append: true });
      expect(next.version).toBe(writer.version);
      await next.write(Buffer.from('two'));
      await next.close();
      expect(next.version).not.toBe(writer.version);
      const last = await driver.writer(upload, { append: true });
      expect(last.version).toBe(next.version);
      await last.cancel();
      await keep(driver, upload, Buffer.from('another'));
      await keep(driver, upload, Buffer.from('!'));
      const again = await other.writer(upload, { append: true });
      expect(again.version).not.toBe(writer.version);
      await again.cancel();
      for (const text of ['ben', 'bob']) {
        await keep(driver, `/same/${text}/data`, Buffer.from(text));
        const same = await driver.writer(`/same/${text}/data`, { append: true });
        expect(same.version).not.toBe(writer.version);
        await same.close();
      }
    },
  },
  {
    name: 'a writer that goes by a version commits what that stands for',
    async run({ driver }) {
      await keep(driver, upload, pattern(1000));
      const first = await driver.writer(upload, { append: true });
      await first.write(pattern(500, 2));
      await first.close();
      const writer = await driver.writer(upload, { append: true, version: first.version });
      expect(writer.version).toBe(first.version);
      expect(writer.size).toBe(1500);
      await writer.commit(blob);
      expect(sha256(await readAll(await driver.reader(blob)))).toBe(sha256(pattern(1000), pattern(500, 2)));
    },
  },
  {
    name: 'a note is given to the next writer, or to nobody',
    async run({ driver, another }) {
      const writer = await driver.writer(upload, { append: true });
      expect(await writer.note()).toBeUndefined();
      await writer.write(pattern(10));
      await writer.close('sha256:1234');
      const next = await (await another()).writer(upload, { append: true });
      expect([undefined, 'sha256:1234']).toContain(await next.note());
      await next.write(pattern(10));
      await next.close();
      const last = await driver.writer(upload, { append: true });
      expect(await last.note()).toBeUndefined();
      await last.cancel();
    },
  },
  {
    name: 'nothing is kept without its marker',
    async run({ driver, another }) {
      const other = await another();
      const marker = '/repositories/a/_uploads/1/startedat';
      const missing = { code: 'PATH_NOT_FOUND' };
      const attempt = async () => {
        const writer = await driver.writer(upload, { append: true, marker });
        await writer.write(pattern(10));
        await writer.close();
      };
      await expect(attempt()).rejects.toMatchObject(missing);
      await expect(driver.kept(upload, { marker })).rejects.toMatchObject(missing);
      await expect(driver.kept(upload)).rejects.toMatchObject(missing);
      await other.begin(upload, { path: marker, content: Buffer.from('now') });
      expect(await driver.kept(upload, { marker })).toEqual({ size: 0, modified: undefined });
      await attempt();
      expect(await other.kept(upload, { marker })).toMatchObject({ size: 10, modified: expect.any(Date) });
      await other.delete('/repositories/a/_uploads/1', { names: ['startedat', 'data'] });
      await expect(attempt()).rejects.toMatchObject(missing);
      await expect(driver.kept(upload, { marker })).rejects.toMatchObject(missing);
      await expect(driver.kept(upload)).rejects.toMatchObject(missing);
    },
  },
  {
    name: 'a writer that knows where it will commit to shows nothing there before, and leaves nothing when it is cancelled',
    async run({ driver }) {
      for (const size of [0, 1000, 12 * mebibyte]) {
        for (const end of ['cancel', 'close'] as const) {
          const writer = await driver.writer(upload, { append: true, to: blob });
          await writer.write(pattern(size));
          await expect(driver.stat(blob)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
          await writer[end]();
          await expect(driver.stat(blob)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
          await (await driver.writer(upload, { append: true })).cancel();
        }
        const writer = await driver.writer(upload, { append: true, to: blob });
        await writer.write(pattern(size));
        expect(writer.size).toBe(size);
        await writer.commit(blob);
        expect(sha256(await readAll(await driver.reader(blob)))).toBe(sha256(pattern(size)));
        await driver.delete(blob);
        await driver.delete('/repositories').catch(ignoreMissing);
      }
    },
  },
  {
    name: 'an append writer that knows where it will commit to brings what was kept there too',
    async run({ driver, another }) {
      const parts = [
        pattern(300, 1),
        pattern(6 * mebibyte, 2),
        pattern(20, 3),
        pattern(12 * mebibyte, 4),
        pattern(5, 5),
      ];
      for (const part of parts.slice(0, -1)) await keep(driver, upload, part);
      const writer = await (await another()).writer(upload, { append: true, to: blob });
      await writer.write(parts.at(-1) ?? Buffer.alloc(0));
      await writer.commit(blob);
      expect(sha256(await readAll(await driver.reader(blob)))).toBe(sha256(...parts));
    },
  },
  {
    name: 'a writer without append starts empty and replaces the object when it is closed',
    async run({ driver }) {
      await driver.put('/o', Buffer.from('put before'));
      const writer = await driver.writer('/o');
      expect(writer.size).toBe(0);
      await writer.write(Buffer.from('fresh'));
      await writer.close();
      expect((await driver.get('/o')).toString()).toBe('fresh');
    },
  },
  {
    name: 'a writer that was given nothing makes an empty object',
    async run({ driver }) {
      await (await driver.writer('/closed')).close();
      expect((await driver.stat('/closed')).size).toBe(0);
      for (const append of [true, false]) {
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
    name: 'one writer at a time has a path in one process',
    async run({ driver }) {
      const busy = { name: 'WriterBusyError', code: 'WRITER_BUSY', path: upload };
      for (const end of ['close', 'commit', 'cancel'] as const) {
        const writer = await driver.writer(upload, { append: true });
        await expect(driver.writer(upload, { append: true })).rejects.toMatchObject(busy);
        await expect(driver.writer(upload)).rejects.toMatchObject(busy);
        await (await driver.writer(`${upload}2`, { append: true })).cancel();
        await writer[end]();
        await (await driver.writer(upload, { append: true })).cancel();
      }
    },
  },
  {
    name: 'of writers in several processes that want a path one keeps its bytes, and the others hear of it in time',
    async run({ driver, another }) {
      const drivers = [driver, await another(), await another()];
      let kept = 0;
      let winners = 0;
      for (let round = 0; round < 5; round += 1) {
        const attempts = await Promise.allSettled(
          drivers.map(async (each, index) => {
            const writer = await each.writer(upload, { append: true });
            const { size } = writer;
            await writer.write(pattern(1000 + index, round * 10 + index));
            await writer.close();
            return size;
          }),
        );
        for (const [index, attempt] of attempts.entries()) {
          if (attempt.status === 'rejected') expect(attempt.reason).toMatchObject({ code: 'WRITER_BUSY' });
          else {
            winners += 1;
            kept += 1000 + index;
          }
        }
      }
      expect(winners).toBeGreaterThan(0);
      expect((await driver.kept(upload)).size).toBe(kept);
      expect(await keptBytes(driver, upload)).toHaveLength(kept);
    },
  },
  {
    name: 'cancel drops everything, also what was kept before',
    async run({ driver }) {
      await keep(driver, upload, pattern(1000));
      const writer = await driver.writer(upload, { append: true });
      await writer.write(pattern(2 * mebibyte));
      await writer.cancel();
      await expect(driver.kept(upload)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
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
