import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDriver } from '../../storage-drivers/index.ts';
import type { UpstreamReport } from '../mirror/statistics.ts';
import { keepMirrorStatus, statusStore } from '../mirroring/status.ts';
import { createLog } from '../observe/log.ts';
import { createSharedStore } from '../shared-store.ts';
import { createProgram } from './program.ts';

let folder: string;
let printed: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-status-'));
  const root = JSON.stringify(join(folder, 'data'));
  await writeFile(
    join(folder, 'config.yml'),
    `version: 0.1\nstorage: {filesystem: {rootdirectory: ${root}}}\nproxy: {remoteurl: "https://a.example"}\n`,
  );
  printed = [];
  vi.spyOn(console, 'log').mockImplementation((line = '') => printed.push(String(line)));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true });
});

/** What a server keeps that stops, or that runs. */
async function keep(endpoint: Partial<UpstreamReport['endpoints'][number]>): Promise<{ stop(): Promise<void> }> {
  const driver = createDriver('filesystem', { rootdirectory: join(folder, 'data') });
  const log = createLog({ level: 'error', formatter: 'text', accessLog: false });
  const counts = { hits: 5, misses: 1, stale: 0, pulledBytes: 1536, pushedBytes: 3 * 1024 ** 3 };
  const report = (): { upstreams: UpstreamReport[] } => ({
    upstreams: [
      {
        name: 'a.example',
        manifest: counts,
        blob: { ...counts, hits: 0 },
        endpoints: [
          {
            url: 'https://a.example',
            errors: { unreachable: 1, throttled: 2, denied: 0, invalid: 0 },
            breaker: { state: 'closed', failures: 0, until: undefined },
            rateLimit: undefined,
            ...endpoint,
          },
        ],
      },
    ],
  });
  const store = createSharedStore(driver, statusStore);
  const kept = keepMirrorStatus(store, { report, log });
  await expect.poll(async () => (await store.list('status')).length).toBeGreaterThan(0);
  return kept;
}

async function status(...args: string[]): Promise<string[]> {
  printed.length = 0;
  await createProgram().parseAsync(['mirror', 'status', join(folder, 'config.yml'), ...args], { from: 'user' });
  return printed;
}

test('what nobody has served yet', async () => {
  expect(await status()).toEqual(['no server has mirrored anything on this storage']);
});

test('one row for each kind of content, and one for each endpoint', async () => {
  const running = await keep({
    breaker: { state: 'throttled', failures: 0, until: Date.parse('2026-01-01T00:00:00Z') },
    rateLimit: { limit: 100, remaining: 0, window: 21_600, at: 1 },
  });
  expect(await status()).toEqual([
    'UPSTREAM   TYPE      HITS  MISSES  STALE  FROM UPSTREAM  TO CLIENTS',
    'a.example  manifest  5     1       0      1.50 KiB       3.00 GiB',
    'a.example  blob      0     1       0      1.50 KiB       3.00 GiB',
    '',
    'UPSTREAM   ENDPOINT           CIRCUIT BREAKER                           RATE LIMIT LEFT  ERRORS',
    'a.example  https://a.example  throttled until 2026-01-01T00:00:00.000Z  0 of 100 in 6h   1 unreachable, 2 throttled',
    '',
    expect.stringMatching(/^1 server runs, 0 have ended; counted since 20/),
  ]);
  await running.stop();
  expect(await status()).toContain(
    'a.example  https://a.example  -                -                1 unreachable, 2 throttled',
  );
});

test('where servers do not agree, how many are at what', async () => {
  const servers = [await keep({}), await keep({ breaker: { state: 'probing', failures: 5, until: undefined } })];
  await expect.poll(() => status()).toContainEqual(expect.stringMatching(/^2 servers run/));
  expect(printed.join('\n')).toMatch(/(closed|probing) \(1 of 2\), (closed|probing) \(1 of 2\)/);
  const [json] = await status('--json');
  expect(JSON.parse(json ?? '')).toMatchObject({
    processes: { running: 2, ended: 0 },
    upstreams: [{ name: 'a.example', manifest: { hits: 10 }, endpoints: [{ errors: { throttled: 4 } }] }],
  });
  for (const server of servers) await server.stop();
});
