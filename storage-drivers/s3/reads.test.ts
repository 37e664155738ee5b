import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readAll } from '../testing/fixture.ts';
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
const duringBody: readonly Fault[] = [
  { kind: 'cut-answer', after: 0, how: 'reset' },
  { kind: 'cut-answer', after: 1000, how: 'reset' },
  { kind: 'cut-answer', after: 1000, how: 'end' },
  { kind: 'stall', at: 1000, ms: 200 },
];

describe('an object is read whole', { timeout: 60_000 }, () => {
  test.each([...passing, ...duringBody].map((fault) => [JSON.stringify(fault), fault] as const))(
    'by get, in spite of %s',
    async (_, fault) => {
      storage.proxy.inject({ fault, times: 1 });
      expect((await storage.driver.get('/small')).equals(small)).toBe(true);
    },
  );

  test.each([...passing, ...duringBody].map((fault) => [JSON.stringify(fault), fault] as const))(
    'by a reader, in spite of %s',
    async (_, fault) => {
      storage.proxy.inject({ fault, times: 2 });
      const reader = await storage.driver.reader('/large');
      expect(reader.size).toBe(content.length);
      expect((await readAll(reader)).equals(content)).toBe(true);
    },
  );

  test('a part of it too', async () => {
    storage.proxy.inject({ fault: { kind: 'cut-answer', after: 70_000, how: 'reset' }, times: 3 });
    const reader = await storage.driver.reader('/large', { start: 12_345, end: 2_000_000 });
    expect((await readAll(reader)).equals(content.subarray(12_345, 2_000_001))).toBe(true);
  });

  test('connections are used again', async () => {
    for (let count = 0; count < 5; count += 1) {
      await readAll(await storage.driver.reader('/large'));
      await storage.driver.get('/small');
    }
    expect(new Set(storage.proxy.requests.map(({ connection }) => connection)).size).toBe(1);
  });
});
