import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { run } from '../harness/run.ts';
import { berthCommand, freePort, type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* What a mirror says of itself: metrics, the log and `berth mirror status`. */

let folder: TemporaryFolder;
let upstream: CountedUpstream;
let servers: Server[];
let clients: RegistryClient[];
let debug: string;

const layer = blob(randomBytes(300_000));
const image = imageOf([layer]);
const [config] = image.blobs.filter(({ digest }) => digest !== layer.digest);
const manifestSize = image.manifest.bytes.length;

beforeAll(async () => {
  folder = await temporaryFolder('berth-mirror-status-');
  upstream = await startUpstream();
  const origin = createRegistryClient(upstream.registry.url);
  await origin.push('team/app', image, 'v1');
  origin.close();
  debug = `127.0.0.1:${await freePort()}`;
  const mirror = {
    upstreams: [
      { name: 'docker.io', endpoints: ['http://127.0.0.1:9', upstream.url], default: true, revalidate: '0s' },
      { name: 'quiet.example' },
    ],
  };
  const base = { dataDir: join(folder.path, 'data'), storage: 'filesystem' } as const;
  servers = await Promise.all([
    startBerth({
      ...base,
      config: { mirror, log: { level: 'debug' }, http: { debug: { addr: debug, prometheus: { enabled: true } } } },
    }),
    startBerth({ ...base, config: { mirror } }),
  ]);
  clients = servers.map(({ url }) => createRegistryClient(url));
});
afterAll(async () => {
  for (const client of clients ?? []) client.close();
  for (const server of servers ?? []) await server.stop();
  await upstream?.stop();
  await folder?.remove();
});

async function pull(client: RegistryClient | undefined): Promise<void> {
  await client?.expect(200, 'GET', '/v2/team/app/manifests/v1');
  for (const { digest } of image.blobs) await client?.expect(200, 'GET', `/v2/team/app/blobs/${digest}`);
}

/** @returns what gives the value of a line */
async function metrics(): Promise<(name: string) => number> {
  const http = createHttpClient(`http://${debug}`);
  const { text } = await http.request('GET', '/metrics');
  http.close();
  const lines = text.split('\n');
  return (name) => Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length));
}

/** @param args behind `berth mirror status <config>` */
async function status(server: Server | undefined, ...args: string[]): Promise<string> {
  const [program, ...command] = berthCommand();
  const { code, stdout, stderr } = await run(program, [
    ...command,
    'mirror',
    'status',
    server?.configFile ?? '',
    ...args,
  ]);
  expect(code, stderr).toBe(0);
  return stdout;
}

interface Status {
  readonly processes: object;
  readonly upstreams: readonly {
    readonly name: string;
    readonly manifest: object;
    readonly blob: object;
    readonly endpoints: readonly object[];
  }[];
}
const statusOf = async (name: string) => {
  const { processes, upstreams } = JSON.parse(await status(servers[0], '--json')) as Status;
  return { processes, ...upstreams.find((one) => one.name === name) };
};

test('hits, misses and bytes are in the metrics, under the names of distribution too', async () => {
  const [client] = clients;
  await pull(client);
  // What is not in the storage yet is a miss for whoever comes.
  await expect.poll(async () => (await metrics())('berth_mirror_downloads_running')).toBe(0);
  await pull(client);
  await client?.expect(206, 'GET', `/v2/team/app/blobs/${layer.digest}`, { headers: { Range: 'bytes=0-999' } });
  const value = await metrics();
  const size = layer.bytes.length + (config?.bytes.length ?? 0);
  const expected: Record<string, number> = {
    'registry_proxy_requests_total{type="manifest"}': 2,
    'registry_proxy_hits_total{type="manifest"}': 1,
    'registry_proxy_misses_total{type="manifest"}': 1,
    'registry_proxy_pulled_bytes_total{type="manifest"}': manifestSize,
    'registry_proxy_pushed_bytes_total{type="manifest"}': 2 * manifestSize,
    'registry_proxy_requests_total{type="blob"}': 5,
    'registry_proxy_hits_total{type="blob"}': 3,
    'registry_proxy_misses_total{type="blob"}': 2,
    'registry_proxy_pulled_bytes_total{type="blob"}': size,
    'registry_proxy_pushed_bytes_total{type="blob"}': 2 * size + 1000,
    'berth_mirror_requests_total{upstream="docker.io",type="blob",outcome="hit"}': 3,
    'berth_mirror_requests_total{upstream="quiet.example",type="blob",outcome="hit"}': 0,
    [`berth_mirror_breaker_state{upstream="docker.io",endpoint="${upstream.url}",state="closed"}`]: 1,
    [`berth_mirror_errors_total{upstream="docker.io",endpoint="${upstream.url}",reason="unreachable"}`]: 0,
    berth_mirror_downloads_running: 0,
  };
  expect(Object.fromEntries(Object.keys(expected).map((name) => [name, value(name)]))).toEqual(expected);
  expect(
    value('berth_mirror_errors_total{upstream="docker.io",endpoint="http://127.0.0.1:9",reason="unreachable"}'),
  ).toBeGreaterThan(0);
});

test('what became of a request is in the log', async () => {
  const lines = (outcome: string) =>
    servers[0]?.logs().match(new RegExp(`DEBUG answered for an upstream outcome=${outcome}`, 'g'));
  await expect.poll(() => [lines('hit')?.length, lines('miss')?.length], { timeout: 10_000 }).toEqual([4, 3]);
});

test('berth mirror status adds up what all servers have done, also those that have ended', async () => {
  await pull(clients[1]);
  await upstream.down();
  await pull(clients[1]);
  const expected = {
    manifest: { hits: 2, misses: 1, stale: 1, pulledBytes: manifestSize, pushedBytes: 4 * manifestSize },
    blob: { hits: 7, misses: 2, stale: 0 },
  };
  await expect
    .poll(() => statusOf('docker.io'), { timeout: 30_000, interval: 500 })
    .toMatchObject({ ...expected, processes: { running: 2, ended: 0 } });
  const { endpoints } = await statusOf('docker.io');
  expect(endpoints).toMatchObject([
    { url: 'http://127.0.0.1:9', breakers: [{}, {}] },
    { url: upstream.url, breakers: [{}, {}] },
  ]);
  await servers[1]?.stop();
  expect(await statusOf('docker.io')).toMatchObject({ ...expected, processes: { running: 1, ended: 1 } });

  const table = await status(servers[0]);
  expect(table).toMatch(/^docker\.io +manifest +2 +1 +1 +\d+ B +/m);
  expect(table).toMatch(/^docker\.io +blob +7 +2 +0 +29\d KiB +/m);
  expect(table).toMatch(/^quiet\.example +https:\/\/quiet\.example +closed +- +-$/m);
  expect(table).toMatch(/^1 server runs, 1 has ended; counted since 20/m);
});

test('in a bucket, what clients are sent there for is counted as if they had got it here', async () => {
  await upstream.up();
  const server = await startBerth({
    config: { proxy: { remoteurl: upstream.url } },
    storage: 's3',
    redirect: true,
    dataDir: join(folder.path, 'bucket'),
  });
  const client = createRegistryClient(server.url);
  const target = `/v2/team/app/blobs/${layer.digest}`;
  await client.expect(200, 'GET', target);
  const plain = createHttpClient(server.url);
  await expect.poll(async () => (await plain.request('GET', target)).status, { timeout: 10_000 }).toBe(307);
  plain.close();
  client.close();
  const blobs = async () => {
    const { upstreams } = JSON.parse(await status(server, '--json')) as Status;
    return upstreams[0]?.blob as { readonly hits: number; readonly misses: number };
  };
  await expect.poll(async () => (await blobs()).hits, { timeout: 60_000, interval: 1_000 }).toBeGreaterThan(0);
  const { hits, misses, ...others } = await blobs();
  expect(misses).toBeGreaterThan(0);
  expect(others).toEqual({
    stale: 0,
    pulledBytes: layer.bytes.length,
    pushedBytes: (misses + hits) * layer.bytes.length,
  });
  await server.stop();
});

test('berth mirror status of what mirrors nothing says so', async () => {
  const server = await startBerth({ storage: 'filesystem' });
  const [program, ...command] = berthCommand();
  const { code, stderr } = await run(program, [...command, 'mirror', 'status', server.configFile]);
  expect([code, stderr]).toEqual([1, expect.stringContaining('it has neither mirror.upstreams nor proxy.remoteurl')]);
  await server.stop();
});
