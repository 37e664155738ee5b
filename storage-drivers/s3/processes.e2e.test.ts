import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PathNotFoundError } from '../driver.ts';
import type { LoadResult } from './testing/child.ts';
import type { Fault } from './testing/fault-proxy.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';
import { buildChild, startChild } from './testing/start-child.ts';

const timeout = 180_000;
const mebibyte = 1024 * 1024;
let storage: FaultyStorage;
beforeAll(buildChild, timeout);
beforeAll(async () => {
  storage = await faultyStorage();
}, timeout);
beforeEach(() => storage.proxy.clear());
afterAll(() => storage.dispose(), timeout);

describe('another process', { timeout }, () => {
  test('that is killed in the middle of an upload leaves no object, and its parts go with the upload', async () => {
    for (const moment of [1, 6, 23]) {
      const child = startChild(storage.parameters, 'upload', '/uploads/1/data', '/blob');
      for (let steps = 0; steps < moment; steps += 1) await child.step();
      await child.kill();
      if (moment > 10) expect(await storage.uploads()).toHaveLength(1);
      await expect(storage.driver.stat('/blob')).rejects.toBeInstanceOf(PathNotFoundError);

      // Another process goes on, with nothing, as such bytes cannot be kept.
      const writer = await storage.driver.writer('/uploads/1/data', { append: true });
      expect(writer.size).toBe(0);
      await writer.write(Buffer.from('from the beginning'));
      await writer.close();
      await storage.driver.delete('/uploads/1');
      expect(await storage.uploads()).toEqual([]);
      await expect(storage.driver.stat('/uploads')).rejects.toBeInstanceOf(PathNotFoundError);
    }
  });

  test('keeps its memory and its promises during faults of all kinds', async () => {
    const { proxy, parameters, bucket, uploads } = storage;
    const faults: readonly Fault[] = [
      { kind: 'answer', status: 503, code: 'SlowDown' },
      { kind: 'answer', status: 503, code: 'SlowDown', retryAfter: 1 },
      { kind: 'answer', status: 500, code: 'InternalError' },
      { kind: 'answer', status: 502 },
      { kind: 'answer', status: 200 },
      { kind: 'reset-request' },
      { kind: 'reset-request', after: 1_000_000 },
      { kind: 'lose-answer' },
      { kind: 'cut-answer', after: 50_000, how: 'reset' },
      { kind: 'cut-answer', after: 500_000, how: 'end' },
      { kind: 'cut-answer', after: 500, how: 'whole' },
      { kind: 'stall', at: 'answer', ms: 2000 },
      { kind: 'stall', at: 200_000, ms: 2000 },
      { kind: 'close-idle' },
      { kind: 'ignore-range' },
    ];
    for (const fault of faults) proxy.inject({ fault, probability: 0.02 });
    const calm = JSON.stringify({ ...parameters, regionendpoint: bucket.server.endpoint });
    const child = startChild(parameters, 'load', '20', '8', calm);
    const { done, unavailable, wrong, rss } = (await child.step()) as LoadResult;
    await child.kill();
    expect(wrong).toEqual([]);
    expect(done).toBeGreaterThan(100);
    expect(unavailable).toBeLessThan(done / 10);
    // In use at a time are at most 64 MiB of uploads, and as much again in what is sent and received.
    const half = Math.floor(rss.length / 2);
    const [early, late] = [Math.max(...rss.slice(0, half)), Math.max(...rss.slice(half))].map(
      (bytes) => bytes / mebibyte,
    );
    console.log(
      `memory: ${Math.round(early ?? 0)} MiB, then ${Math.round(late ?? 0)} MiB; ${done} done, ${unavailable} unavailable`,
    );
    expect(late).toBeLessThan(450);
    expect(late).toBeLessThan((early ?? 0) * 1.4);

    // Those whose creation was not answered are nobody's.
    const orphans = proxy.requests.filter(
      ({ operation, fault }) =>
        operation === 'CreateMultipartUpload' && ['lose-answer', 'cut-answer', 'stall'].includes(fault?.kind ?? ''),
    );
    expect((await uploads()).length).toBeLessThanOrEqual(orphans.length);
  });
});
