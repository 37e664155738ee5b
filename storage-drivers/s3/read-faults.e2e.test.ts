import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PathNotFoundError, StorageError } from '../driver.ts';
import { namesOf, readAll } from '../testing/fixture.ts';
import { limits } from './client.ts';
import type { Fault } from './testing/fault-proxy.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

const mebibyte = 1024 * 1024;
const content = randomBytes(3 * mebibyte);
const small = randomBytes(3000);
let storage: FaultyStorage;

beforeAll(async () => {
  storage = await faultyStorage();
  await storage.truth.put('/large', content);
  await storage.truth.put('/small', small);
}, 60_000);
afterEach(() => {
  storage.proxy.clear();
  storage.proxy.forget();
});
afterAll(() => storage.dispose(), 60_000);

/** All that go away by themselves, and what a proxy between may do. */
const passing: readonly Fault[] = [
  { kind: 'answer', status: 503, code: 'SlowDown' },
  { kind: 'answer', status: 503, code: 'SlowDown', retryAfter: 1 },
  { kind: 'answer', status: 500, code: 'InternalError' },
  { kind: 'answer', status: 502 },
  { kind: 'answer', status: 429, code: 'TooManyRequests' },
  { kind: 'reset-request' },
  { kind: 'lose-answer' },
  { kind: 'close-idle' },
  { kind: 'stall', at: 'answer', ms: 200 },
];
/** What looks like a success and is none. */
const foreign: readonly Fault[] = [
  { kind: 'answer', status: 200 },
  { kind: 'answer', status: 200, code: 'InternalError' },
  { kind: 'cut-answer', after: 1000, how: 'whole' },
];
const duringBody: readonly Fault[] = [
  { kind: 'cut-answer', after: 0, how: 'reset' },
  { kind: 'cut-answer', after: 1000, how: 'reset' },
  { kind: 'cut-answer', after: 1000, how: 'end' },
  { kind: 'stall', at: 1000, ms: 200 },
];

describe('an object is read whole', { timeout: 60_000 }, () => {
  test.each([...passing, ...duringBody, ...foreign].map((fault) => [JSON.stringify(fault), fault] as const))(
    'by get, in spite of %s',
    async (_, fault) => {
      storage.proxy.inject({ fault, times: 1 });
      expect((await storage.driver.get('/small')).equals(small)).toBe(true);
    },
  );

  test.each([...passing, ...duringBody, ...foreign].map((fault) => [JSON.stringify(fault), fault] as const))(
    'by a reader, in spite of %s',
    async (_, fault) => {
      storage.proxy.inject({ fault, times: 2 });
      const reader = await storage.driver.reader('/large');
      expect(reader.size).toBe(content.length);
      expect((await readAll(reader)).equals(content)).toBe(true);
    },
  );

  test('a part of it too', async () => {
    storage.proxy.inject({ fault: { kind: 'ignore-range' }, times: 1 });
    storage.proxy.inject({ fault: { kind: 'cut-answer', after: 70_000, how: 'reset' }, times: 3 });
    storage.proxy.inject({ fault: { kind: 'ignore-range' }, times: 1 });
    const reader = await storage.driver.reader('/large', { start: 12_345, end: 2_000_000 });
    expect((await readAll(reader)).equals(content.subarray(12_345, 2_000_001))).toBe(true);
  });

  test('or rejects, when it was replaced meanwhile', async () => {
    await storage.truth.put('/replaced', randomBytes(content.length));
    storage.proxy.inject({ fault: { kind: 'cut-answer', after: 200_000, how: 'reset' }, times: 1 });
    const reader = await storage.driver.reader('/replaced');
    await storage.truth.put('/replaced', content);
    await expect(readAll(reader)).rejects.toBeInstanceOf(StorageError);
  });

  test('or rejects, when it was deleted meanwhile', async () => {
    await storage.truth.put('/deleted', content);
    storage.proxy.inject({ fault: { kind: 'cut-answer', after: 200_000, how: 'end' }, times: 1 });
    const reader = await storage.driver.reader('/deleted');
    await storage.truth.delete('/deleted');
    await expect(readAll(reader)).rejects.toBeInstanceOf(PathNotFoundError);
  });

  test('connections are used again', async () => {
    for (let count = 0; count < 5; count += 1) {
      await readAll(await storage.driver.reader('/large'));
      await storage.driver.get('/small');
    }
    // Readers have their own. A second one, as the next request may begin before the first connection counts as free.
    for (const name of ['large', 'small']) {
      const requests = storage.proxy.requests.filter(({ key }) => key.endsWith(name));
      expect(requests).toHaveLength(5);
      expect(new Set(requests.map(({ connection }) => connection)).size).toBeLessThanOrEqual(2);
    }
  });
});

describe('what does not pass', { timeout: 60_000 }, () => {
  const unavailable = { name: 'StorageUnavailableError', code: 'STORAGE_UNAVAILABLE' };

  test.each([
    { kind: 'answer', status: 503, code: 'SlowDown' },
    { kind: 'answer', status: 503, code: 'SlowDown', retryAfter: 3600 },
    { kind: 'answer', status: 500, code: 'InternalError' },
    { kind: 'answer', status: 502 },
    { kind: 'answer', status: 200 },
    { kind: 'reset-request' },
    { kind: 'lose-answer' },
  ] satisfies Fault[])('makes every reading call say that the storage is unavailable: %j', async (fault) => {
    const { driver, proxy } = storage;
    proxy.inject({ fault });
    await Promise.all([
      expect(driver.get('/small')).rejects.toMatchObject(unavailable),
      expect(driver.reader('/small')).rejects.toMatchObject(unavailable),
      expect(driver.stat('/small')).rejects.toMatchObject(unavailable),
      expect(namesOf(driver, '/')).rejects.toMatchObject({ code: 'INVALID_PATH' }),
      expect(namesOf(driver, '/folder')).rejects.toMatchObject(unavailable),
      expect(driver.kept('/upload')).rejects.toMatchObject(unavailable),
      expect(driver.writer('/upload', { append: true })).rejects.toMatchObject(unavailable),
      expect(driver.check?.()).rejects.toMatchObject(unavailable),
    ]);
    proxy.clear();
    expect((await driver.get('/small')).equals(small)).toBe(true);
    await (await driver.writer('/upload', { append: true })).cancel();
  });

  test('ends a reader that gets no further, with nothing but right bytes before', async () => {
    const { driver, proxy } = storage;
    const reader = await driver.reader('/large');
    proxy.inject({ fault: { kind: 'cut-answer', after: 0, how: 'reset' } });
    const first = await reader[Symbol.asyncIterator]().next();
    expect(first.done).toBe(false);
    await reader.close();

    proxy.clear();
    proxy.inject({ fault: { kind: 'cut-answer', after: 100_000, how: 'reset' }, times: 1 });
    proxy.inject({ fault: { kind: 'cut-answer', after: 0, how: 'end' } });
    const chunks: Buffer[] = [];
    const broken = await driver.reader('/large');
    await expect(
      (async () => {
        for await (const chunk of broken) chunks.push(Buffer.from(chunk));
      })(),
    ).rejects.toMatchObject(unavailable);
    const bytes = Buffer.concat(chunks);
    expect(bytes.length).toBeLessThan(content.length);
    expect(bytes.equals(content.subarray(0, bytes.length))).toBe(true);
  });
});

describe('silence', { timeout: 60_000 }, () => {
  const usual = { ...limits };
  afterEach(() => void Object.assign(limits, usual));

  test('before the answer ends with the time limit, and the next attempt gets it', async () => {
    limits.answer = 300;
    const { driver, proxy } = storage;
    proxy.inject({ fault: { kind: 'stall', at: 'answer', ms: 60_000 }, times: 1 });
    proxy.inject({ fault: { kind: 'stall', at: 1000, ms: 60_000 }, times: 1 });
    expect((await driver.get('/small')).equals(small)).toBe(true);
    expect(await Promise.all(proxy.requests.map(({ ended }) => ended))).toEqual(['broken', 'broken', 'whole']);
  });

  test('that lasts says so', async () => {
    limits.answer = 50;
    storage.proxy.inject({ fault: { kind: 'stall', at: 'request', ms: 60_000 } });
    await expect(storage.driver.get('/small')).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringContaining('no answer within 50 ms'),
    });
  });

  // Longer than what the SDK puts off setting a limit for.
  test.each([1_000, 7_000])('in the middle of a large body ends after %i ms, and reading goes on', async (idle) => {
    limits.idle = idle;
    const driver = storage.another();
    storage.proxy.inject({ fault: { kind: 'stall', at: 1_000_000, ms: 60_000 }, times: 1 });
    const reader = await driver.reader('/large');
    expect((await readAll(reader)).equals(content)).toBe(true);
  });
});

describe('whoever gives up', { timeout: 60_000 }, () => {
  test('with a signal cancels the request', async () => {
    const { driver, proxy } = storage;
    proxy.inject({ fault: { kind: 'stall', at: 'answer', ms: 60_000 } });
    const calls: readonly ((options: { signal: AbortSignal }) => Promise<unknown>)[] = [
      (options) => driver.get('/small', options),
      (options) => driver.reader('/small', options),
      (options) => driver.stat('/small', options),
      (options) => namesOf(driver, '/folder', options),
      (options) => driver.kept('/upload', options),
      (options) => driver.check?.(options) ?? Promise.resolve(),
    ];
    for (const call of calls) {
      const controller = new AbortController();
      const operations = ['GetObject', 'HeadObject', 'ListObjectsV2'];
      const arrived = Promise.race(operations.map((operation) => proxy.next(operation)));
      const failed = expect(call({ signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
      const request = await arrived;
      controller.abort();
      await failed;
      expect(await request.ended).toBe('broken');
    }
  });

  test('between two attempts waits no longer', async () => {
    const { driver, proxy } = storage;
    proxy.inject({ fault: { kind: 'answer', status: 503, code: 'SlowDown', retryAfter: 20 } });
    const controller = new AbortController();
    const arrived = proxy.next('GetObject');
    const failed = expect(driver.get('/small', { signal: controller.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
    await (await arrived).ended;
    controller.abort();
    await failed;
    expect(proxy.requests).toHaveLength(1);
  });

  test('in the middle of an object closes its connection', async () => {
    const { driver, proxy, truth } = storage;
    await truth.put('/huge', Buffer.alloc(64 * mebibyte, 'x'));
    const controller = new AbortController();
    const aborted = await driver.reader('/huge', { signal: controller.signal });
    const closed = await driver.reader('/huge');
    const abandoned = await driver.reader('/huge');
    for await (const chunk of abandoned) if (chunk.length > 0) break;
    controller.abort();
    await closed.close();
    await expect(readAll(aborted)).rejects.toMatchObject({ name: 'AbortError' });
    await expect(readAll(closed)).rejects.toBeInstanceOf(StorageError);
    const requests = proxy.requests.filter(({ operation }) => operation === 'GetObject');
    expect(await Promise.all(requests.map(({ ended }) => ended))).toEqual(['broken', 'broken', 'broken']);
  });
});

test('a slow reader holds the server back', { timeout: 60_000 }, async () => {
  const { driver, proxy } = storage;
  const size = 200 * mebibyte;
  const writer = await storage.truth.writer('/slow');
  for (let written = 0; written < size; written += mebibyte) await writer.write(Buffer.alloc(mebibyte, 'y'));
  await writer.commit();

  const reader = await driver.reader('/slow');
  const chunks = reader[Symbol.asyncIterator]();
  let read = (await chunks.next()).value.length;
  const request = proxy.requests.find(({ operation }) => operation === 'GetObject');
  // What the kernel takes for the connections on both sides of the proxy comes first.
  const settled = async () => {
    for (let before = -1; before !== request?.sent; ) {
      before = request?.sent ?? 0;
      await delay(500);
    }
  };
  for (let pauses = 0; pauses < 3; pauses += 1) {
    await settled();
    expect((request?.sent ?? size) - read).toBeLessThan(32 * mebibyte);
    for (let target = read + 10 * mebibyte; read < target; ) read += (await chunks.next()).value.length;
  }
  await reader.close();
});
