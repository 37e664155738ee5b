import { setTimeout as delay } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createDriver } from '../../storage-drivers/index.ts';
import type { SharedStore } from '../auth/store.ts';
import { Statistics, type UpstreamReport } from '../mirror/statistics.ts';
import { createLog } from '../observe/log.ts';
import { parseRepositoryName } from '../oci/name.ts';
import { createSharedStore } from '../shared-store.ts';
import { keepMirrorStatus, readMirrorStatus, statusStore } from './status.ts';

const log = createLog({ level: 'error', formatter: 'text', accessLog: false });
let store: SharedStore;
let writes: number;

beforeEach(() => {
  const kept = createSharedStore(createDriver('inmemory', {}), statusStore);
  writes = 0;
  store = {
    ...kept,
    put(...put) {
      writes += 1;
      return kept.put(...put);
    },
  };
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'], now: Date.parse('2026-01-01T00:00:00Z') });
  return () => vi.useRealTimers();
});

type Endpoint = Partial<UpstreamReport['endpoints'][number]>;

/** A process with one upstream. */
function start(name: string, endpoint: Endpoint = {}) {
  const statistics = new Statistics();
  const closed = { state: 'closed', failures: 0, until: undefined } as const;
  const status = { url: `https://${name}`, breaker: closed, rateLimit: undefined, ...endpoint };
  const report = () => ({ upstreams: [statistics.report({ name, endpoints: [status] })] });
  const { stop } = keepMirrorStatus(store, { report, log, claimTime: 1 });
  const repository = parseRepositoryName('library/alpine');
  return {
    stop,
    answer: (outcome: 'hit' | 'miss' | 'stale') =>
      statistics.answered({ outcome, kind: 'manifest', upstream: name, repository, reference: 'latest' }),
    push: (bytes: number) => statistics.sent({ upstream: name, kind: 'blob', bytes }),
  };
}

/** Lets time go by, and what it brings about. */
async function after(milliseconds: number): Promise<void> {
  vi.advanceTimersByTime(milliseconds);
  await delay(10);
  for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const numbers = async () =>
  (await readMirrorStatus(store)).upstreams.map(({ name, manifest, blob }) => [
    name,
    [manifest.hits, manifest.misses, manifest.stale],
    blob.pushedBytes,
  ]);

describe('a process', () => {
  test('is seen at once, and what it does after ten seconds at most', async () => {
    const process = start('a');
    await after(0);
    expect(await readMirrorStatus(store)).toMatchObject({
      since: new Date('2026-01-01T00:00:00Z'),
      processes: { running: 1, ended: 0 },
    });
    for (const outcome of ['hit', 'hit', 'miss', 'stale'] as const) process.answer(outcome);
    process.push(1000);
    await after(9_999);
    expect(await numbers()).toEqual([['a', [0, 0, 0], 0]]);
    await after(1);
    expect(await numbers()).toEqual([['a', [2, 1, 1], 1000]]);
    await process.stop();
  });

  test('writes nothing while nothing happens, but that it is there', async () => {
    const process = start('a');
    await after(0);
    for (let count = 0; count < 60; count += 1) await after(10_000);
    expect(writes).toBe(3);
    expect((await readMirrorStatus(store)).processes).toEqual({ running: 1, ended: 0 });
    await process.stop();
  });

  test('leaves its numbers when it stops, which the next one takes over', async () => {
    for (let count = 0; count < 5; count += 1) {
      const process = start('a');
      process.answer('hit');
      await process.stop();
      await after(1000);
    }
    expect(await readMirrorStatus(store)).toMatchObject({
      since: new Date('2026-01-01T00:00:00Z'),
      processes: { running: 0, ended: 1 },
    });
    expect(await numbers()).toEqual([['a', [5, 0, 0], 0]]);
  });

  test('that is killed counts as running for eleven minutes, and is taken over then', async () => {
    const killed = start('a', { breaker: { state: 'open', failures: 5, until: 1 } });
    killed.answer('miss');
    await after(10_000);
    vi.clearAllTimers();
    await after(650_000);
    expect((await readMirrorStatus(store)).processes).toEqual({ running: 1, ended: 0 });
    await after(20_000);
    expect(await readMirrorStatus(store)).toMatchObject({
      processes: { running: 0, ended: 1 },
      upstreams: [{ endpoints: [{ url: 'https://a', breakers: [] }] }],
    });
    const next = start('a');
    await after(0);
    expect(await readMirrorStatus(store)).toMatchObject({
      processes: { running: 1, ended: 0 },
      upstreams: [{ endpoints: [{ url: 'https://a', breakers: [{ state: 'closed' }] }] }],
    });
    expect(await numbers()).toEqual([['a', [0, 1, 0], 0]]);
    await next.stop();
  });
});

test('of several that begin at the same time one takes over, also where several can delete the same', async () => {
  const old = start('a');
  old.answer('hit');
  await old.stop();
  const { delete: remove } = store;
  // As object stores do it: each sees that it is there before any of them has deleted it.
  store = {
    ...store,
    async delete(name) {
      const isThere = (await store.get(name)) !== undefined;
      await delay(2);
      await remove(name);
      return isThere;
    },
  };
  const processes = [start('a'), start('a'), start('a')];
  await after(0);
  for (const process of processes) await process.stop();
  expect(await numbers()).toEqual([['a', [1, 0, 0], 0]]);
  expect((await readMirrorStatus(store)).processes).toEqual({ running: 0, ended: 3 });
  expect(await store.list('status-claims')).toEqual([]);
});

test('what several do is added up, what is configured now comes first', async () => {
  const old = start('old');
  old.answer('hit');
  await old.stop();
  const limit = { limit: 100, window: 21_600 };
  const processes = [
    start('a', { rateLimit: { ...limit, remaining: 50, at: 2 } }),
    start('a', {
      breaker: { state: 'open', failures: 5, until: 7 },
      rateLimit: { ...limit, remaining: 60, at: 1 },
    }),
  ];
  for (const process of processes) process.answer('miss');
  await after(0);
  await after(10_000);
  expect(await numbers()).toEqual([
    ['a', [0, 2, 0], 0],
    ['old', [1, 0, 0], 0],
  ]);
  const { upstreams } = await readMirrorStatus(store);
  const [a, gone] = upstreams.flatMap(({ endpoints }) => endpoints);
  expect(a?.breakers.map(({ state }) => state).sort()).toEqual(['closed', 'open']);
  expect(a?.rateLimit).toEqual({ ...limit, remaining: 50, at: 2 });
  expect(gone).toMatchObject({ url: 'https://old', breakers: [] });
  for (const process of processes) await process.stop();
});

test('what is no record is left out and left alone', async () => {
  await store.put('status/x', Buffer.from('{'));
  await store.put('status/y', Buffer.from('{"pid":"?"}'));
  const process = start('a');
  await after(0);
  const damaged: unknown[] = [];
  const { processes } = await readMirrorStatus(store, (error) => damaged.push(error));
  expect([processes.running, damaged.length]).toEqual([1, 2]);
  await process.stop();
});
