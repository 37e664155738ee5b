import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WriterBusyError } from '../driver.ts';
import { keptBytes, readAll } from '../testing/fixture.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
}, 60_000);
afterAll(() => storage.dispose(), 60_000);

describe('two processes on one upload', { timeout: 180_000 }, () => {
  test('keep exactly what those wrote who were told so, in their order, also when answers are lost', async () => {
    const { proxy } = storage;
    const path = '/uploads/1/data';
    const drivers = [storage.another(), storage.another()] as const;
    const random = (limit: number) => Math.floor(Math.random() * limit);
    const lost = proxy.inject({ fault: { kind: 'lose-answer' }, operations: ['PutObject'], probability: 0.1 });
    let expected = Buffer.alloc(0);
    let version: string | undefined;
    let note: string | undefined;
    let busy = 0;

    for (let round = 1; round <= 200; round += 1) {
      const racing = random(2) === 0 ? [...drivers] : [drivers[random(2)] ?? drivers[0]];
      const writers = await Promise.all(
        racing.map(async (driver) => ({
          writer: await driver.writer(path, { append: true, ...(version && random(2) === 0 && { version }) }),
          bytes: randomBytes(1 + random(3000)),
          note: `round ${round}, ${random(1e9)}`,
        })),
      );
      const results = await Promise.all(
        writers.map(async ({ writer, bytes, ...left }) => {
          if (writer.size !== expected.length) throw new Error(`it shows ${writer.size} of ${expected.length} bytes`);
          expect(await writer.note()).toBe(note);
          await writer.write(bytes);
          try {
            await writer.close(left.note);
            return { bytes, note: left.note, version: writer.version };
          } catch (error) {
            expect(error).toBeInstanceOf(WriterBusyError);
            busy += 1;
            return undefined;
          }
        }),
      );
      const [won, ...more] = results.filter((result) => result !== undefined);
      expect(more).toEqual([]);
      if (won === undefined) throw new Error('nobody has kept anything');
      expected = Buffer.concat([expected, won.bytes]);
      ({ note, version } = won);

      expect((await storage.driver.kept(path)).size).toBe(expected.length);
      if (round % 25 === 0) {
        expect((await keptBytes(storage.truth, path)).equals(expected)).toBe(true);
        const next = await storage.another().writer(path, { append: true });
        expect(next.version).toBe(version);
        expect((await readAll(await next.reader())).equals(expected)).toBe(true);
        await next.close();
      }
    }
    lost();
    expect(busy).toBeGreaterThan(0);
  });
});
