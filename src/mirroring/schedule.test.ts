import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createInMemoryDriver, createMemoryStore } from '../../storage-drivers/inmemory/driver.ts';
import { ConfigError } from '../config/finding.ts';
import type { Config } from '../config/schema.ts';
import { loadText } from '../config/testing/load-text.ts';
import type { SyncOptions, SyncReport } from '../mirror/sync/sync.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import { openMirror } from './open-mirror.ts';
import { startMirrorSchedule } from './schedule.ts';

const minute = 60_000;
const nothing: SyncReport = {
  images: 1,
  failed: 0,
  fetched: { count: 2, bytes: 300 },
  kept: { count: 1, bytes: 100 },
};

/** A storage, before which replicas are started. */
function site() {
  const memory = createMemoryStore();
  const lines: [level: string, message: string, fields: unknown][] = [];
  const say = (level: string) => (message: string, fields?: unknown) => void lines.push([level, message, fields]);
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') } as never;

  async function replica(schedule: object[], sync: (options: SyncOptions) => Promise<SyncReport>, jitter = 0) {
    const mirror = { upstreams: [{ name: 'docker.io' }, { name: 'quay.io' }], schedule };
    const text = JSON.stringify({ version: '0.1', storage: { inmemory: {} }, mirror });
    const config: Config = (await loadText(text)).config;
    const driver = createInMemoryDriver(memory);
    const store = createStorageRegistry({ driver });
    const opened = openMirror(config, { hosted: store, store, driver, log, userAgent: 'test' });
    const parts = { mirror: opened, store, driver, log, sync, jitter: () => jitter };
    return startMirrorSchedule(config.mirror.schedule, parts);
  }
  return { replica, lines };
}

beforeEach(() => {
  vi.useFakeTimers({ now: new Date(2026, 0, 5, 12, 0, 30), toFake: ['setTimeout', 'clearTimeout', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const hourly = { cron: '5 * * * *', images: ['alpine:3.20', 'quay.io/team/app'], platforms: ['linux/amd64'] };

describe('mirror.schedule', () => {
  it('fetches at its times, and says what came', async () => {
    const { replica, lines } = site();
    const runs: string[] = [];
    const { stop } = await replica([hourly], async ({ images }) => {
      runs.push(`${new Date().toTimeString().slice(0, 5)} ${images.map(({ mirrored }) => mirrored.local)}`);
      expect(images[0]?.platforms).toEqual([{ os: 'linux', architecture: 'amd64' }]);
      return nothing;
    });
    await vi.advanceTimersByTimeAsync(4 * minute);
    expect(runs).toEqual([]);
    await vi.advanceTimersByTimeAsync(120 * minute);
    const images = 'docker.io/library/alpine,quay.io/team/app';
    expect(runs).toEqual([`12:05 ${images}`, `13:05 ${images}`]);
    const done = { cron: '5 * * * *', images: 1, failed: 0, blobs: 2, bytes: 300, kept: 1, seconds: 0 };
    expect(lines).toContainEqual(['info', 'fetched images ahead', done]);
    await stop();
    await vi.advanceTimersByTimeAsync(120 * minute);
    expect(runs).toHaveLength(2);
  });

  it('is done by one of several replicas', async () => {
    const { replica } = site();
    const runs: string[] = [];
    const replicas = await Promise.all(
      ['a', 'b', 'c'].map((name, index) =>
        replica(
          [hourly],
          async () => {
            runs.push(name);
            return nothing;
          },
          (3 - index) * 1000,
        ),
      ),
    );
    await vi.advanceTimersByTimeAsync(65 * minute);
    expect(runs).toEqual(['c', 'c']);
    await Promise.all(replicas.map(({ stop }) => stop()));
  });

  it('runs one after another, and leaves out what would overlap itself', async () => {
    const { replica, lines } = site();
    const running: string[] = [];
    const ends: (() => void)[] = [];
    const { stop } = await replica(
      [
        { cron: '* * * * *', images: ['alpine:1'] },
        { cron: '* * * * *', images: ['alpine:2'] },
      ],
      async ({ images }) => {
        const { tags } = images[0] ?? {};
        running.push(tags !== undefined && 'reference' in tags ? tags.reference : '');
        await new Promise<void>((resolve) => ends.push(resolve));
        return nothing;
      },
    );
    await vi.advanceTimersByTimeAsync(3 * minute);
    expect(running).toEqual(['1']);
    expect(lines.filter(([level]) => level === 'warn')).toHaveLength(4);
    ends.shift()?.();
    await vi.advanceTimersByTimeAsync(0);
    expect(running).toEqual(['1', '2']);
    ends.shift()?.();
    await vi.advanceTimersByTimeAsync(minute);
    expect(running).toEqual(['1', '2', '1']);
    for (const end of ends) end();
    await vi.advanceTimersByTimeAsync(0);
    for (const end of ends) end();
    await stop();
  });

  it('ends what is under way when the server stops', async () => {
    const { replica, lines } = site();
    let aborted = false;
    const { stop } = await replica([hourly], async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      aborted = true;
      return nothing;
    });
    await vi.advanceTimersByTimeAsync(5 * minute);
    await stop();
    expect(aborted).toBe(true);
    expect(lines.at(-1)?.[1]).toBe('stopped fetching images ahead');
  });

  it('goes on after a fault', async () => {
    const { replica, lines } = site();
    const { stop } = await replica([hourly], () => Promise.reject(new Error('the storage is away')));
    await vi.advanceTimersByTimeAsync(125 * minute);
    expect(lines.filter(([level]) => level === 'error')).toHaveLength(3);
    await stop();
  });

  it('refuses at the start what it could not fetch', async () => {
    const { replica } = site();
    const refused = replica([{ cron: '5 * * * *', images: ['ghcr.io/team/app'] }], async () => nothing);
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow('mirror.schedule.0.images.0 ghcr.io/team/app: ghcr.io is not among');
  });
});
