import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { createRandom } from '../crash/random.ts';
import { s3Server } from '../harness/s3-server.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { type FaultProxy, type FaultRule, startFaultProxy } from './fault-proxy.ts';
import { Workload } from './workload.ts';

const mebibyte = 1024 * 1024;
const clients = 6;
/** Set `FAULTS_SEED` to the printed number to have the same pushes again. */
const seed = Number(process.env.FAULTS_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** What happens now and then, all the time. */
const always: readonly FaultRule[] = [
  { fault: { kind: 'answer', status: 503, code: 'SlowDown' }, probability: 0.03 },
  { fault: { kind: 'answer', status: 503, code: 'SlowDown', retryAfter: 1 }, probability: 0.01 },
  { fault: { kind: 'answer', status: 500, code: 'InternalError' }, probability: 0.01 },
  { fault: { kind: 'reset-request' }, probability: 0.02 },
  { fault: { kind: 'reset-request', after: 1_000_000 }, probability: 0.02 },
  { fault: { kind: 'lose-answer' }, probability: 0.02 },
  { fault: { kind: 'cut-answer', after: 100_000, how: 'reset' }, probability: 0.05 },
  { fault: { kind: 'cut-answer', after: 300, how: 'end' }, probability: 0.02 },
  { fault: { kind: 'stall', at: 'answer', ms: 20_000 }, probability: 0.003 },
  { fault: { kind: 'stall', at: 500_000, ms: 20_000 }, probability: 0.01 },
  { fault: { kind: 'close-idle' }, probability: 0.02 },
];

let proxy: FaultProxy;
let server: Server;
let client: RegistryClient;
const workload = new Workload();
const rss: number[] = [];

beforeAll(async () => {
  proxy = await startFaultProxy();
  server = await startBerth({
    storage: 's3',
    redirect: false,
    config: { storage: { s3: { regionendpoint: proxy.endpoint } }, log: { level: 'info' } },
  });
  client = createRegistryClient(server.url, { onReply: workload.onReply });
});
afterAll(async () => {
  client?.close();
  await server?.stop();
  await proxy?.stop();
});

/** Of the server, in bytes. */
function memory(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

async function load(seconds: number, seedOfPhase: number): Promise<void> {
  const until = Date.now() + seconds * 1000;
  const lanes = Array.from({ length: clients }, (_, lane) =>
    workload.run(client, createRandom(seedOfPhase + lane), until),
  );
  let running = true;
  const sample = async () => {
    while (running) {
      rss.push(memory());
      await delay(500);
    }
  };
  const sampling = sample();
  await Promise.all(lanes);
  running = false;
  await sampling;
}

/** Of the longest phase; FAULTS_SECONDS=600 looks longer. */
const seconds = Number(process.env.FAULTS_SECONDS ?? 40);

describe(`faults between a registry and its bucket (FAULTS_SEED=${seed})`, () => {
  test('no fault: no failure', async () => {
    await load(10, seed);
    expect(workload.wrong).toEqual([]);
    expect(workload.failures).toEqual({ unavailable: 0, broken: 0 });
    expect(workload.images.length).toBeGreaterThan(5);
  });

  test('under faults nothing wrong is told, and what fails is to be tried again', async () => {
    const before = workload.images.length;
    await proxy.inject(...always);
    await load(seconds, seed + 1000);
    const counts = await proxy.clear();
    // The store is away altogether, then answers nobody.
    await proxy.inject({ fault: { kind: 'reset-request' } });
    await load(5, seed + 2000);
    await proxy.clear();
    await proxy.inject({ fault: { kind: 'stall', at: 'request', ms: 20_000 }, probability: 0.05 });
    await load(seconds / 4, seed + 3000);
    await proxy.clear();
    console.log('requests by fault', counts, 'failures', workload.failures, 'images', workload.images.length);
    expect(workload.wrong).toEqual([]);
    for (const { fault } of always) expect(counts[fault.kind], fault.kind).toBeGreaterThan(0);
    expect(workload.failures.unavailable).toBeGreaterThan(0);
    expect(workload.images.length).toBeGreaterThan(before);
  });

  test('all that was acknowledged is whole', async () => {
    expect(await workload.verify(client)).toEqual([]);
    expect(workload.wrong).toEqual([]);
  });

  test('afterwards all is as before', async () => {
    workload.failures.unavailable = 0;
    workload.failures.broken = 0;
    await load(5, seed + 4000);
    expect(workload.wrong).toEqual([]);
    expect(workload.failures).toEqual({ unavailable: 0, broken: 0 });
    expect((await client.request('GET', '/readyz')).status).toBe(200);
  });

  test('the memory of the server stays', () => {
    const half = Math.floor(rss.length / 2);
    const [early = 0, late = 0] = [rss.slice(0, half), rss.slice(half)].map((part) => Math.max(...part) / mebibyte);
    console.log(`memory: ${Math.round(early)} MiB, then ${Math.round(late)} MiB`);
    expect(late).toBeLessThan(400);
    expect(late).toBeLessThan(early * 1.4);
  });

  test('the log tells of what failed, and no secret', async () => {
    const log = server.logs();
    const { secretKey } = await s3Server();
    expect(log).toContain('STORAGE_UNAVAILABLE');
    expect(log).not.toContain(secretKey);
    expect(log).not.toMatch(/Signature=[0-9a-f]/);
  });
});
