import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { StorageReader } from '../driver.ts';
import { sha256 } from '../testing/fixture.ts';
import { limits } from './client.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

/** Readers whose clients take their time. */

const content = randomBytes(6 * 1024 * 1024);
const { unread } = limits;
let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
  await storage.truth.put('/large', content);
  await storage.truth.put('/link', Buffer.from('a link'));
}, 60_000);
afterEach(() => {
  limits.unread = unread;
  storage.proxy.forget();
});
afterAll(() => storage.dispose(), 60_000);

interface Stalled {
  readonly reader: StorageReader;
  readonly chunks: AsyncIterator<Buffer>;
  readonly first: Buffer;
}

/** Has taken its first bytes, and no others. */
async function stalled(): Promise<Stalled> {
  const reader = await storage.driver.reader('/large');
  const chunks = reader[Symbol.asyncIterator]();
  const { value } = await chunks.next();
  return { reader, chunks, first: Buffer.from(value as Buffer) };
}

test('however many stand still, other requests are answered at once', { timeout: 60_000 }, async () => {
  const readers = await Promise.all(Array.from({ length: 300 }, stalled));
  const begun = Date.now();
  expect((await storage.driver.get('/link')).toString()).toBe('a link');
  await storage.driver.put('/other', Buffer.from('x'));
  expect(Date.now() - begun).toBeLessThan(5_000);
  await Promise.all(readers.map(({ reader }) => reader.close()));
});

test('one that stood still has no connection, and goes on where it was', { timeout: 60_000 }, async () => {
  limits.unread = 50;
  const { chunks, first } = await stalled();
  const [request] = storage.proxy.requests;
  await request?.ended;
  const pieces = [first];
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) pieces.push(Buffer.from(next.value));
  expect(sha256(...pieces)).toBe(sha256(content));
  expect(storage.proxy.requests.map(({ headers }) => headers.range)).toEqual([
    undefined,
    `bytes=${first.length}-${content.length - 1}`,
  ]);
});

test('one that only takes its time asks once', { timeout: 60_000 }, async () => {
  limits.unread = 1_000;
  const { chunks } = await stalled();
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(storage.proxy.requests).toHaveLength(1);
});
