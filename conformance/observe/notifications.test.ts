import { existsSync } from 'node:fs';
import { createServer, type Server as HttpServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { addUser } from '../auth/users.ts';
import { noiseImage } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { freePort, type Server, startBerth, startDistribution } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { startUpstream } from '../mirror/upstream.ts';

interface Event {
  readonly id: string;
  readonly timestamp: string;
  readonly action: string;
  readonly target: Record<string, unknown>;
  readonly request: Record<string, string>;
  readonly actor: object;
  readonly source: { readonly addr: string; readonly instanceID: string };
  readonly mirror?: object;
}

/** Somebody who wants to be told of events. */
const receiver = {
  url: '',
  events: [] as Event[],
  headers: [] as IncomingHttpHeaders[],
  /** What it answers, and after how many milliseconds. */
  status: 200,
  delay: 0,
};
let http: HttpServer;

beforeAll(async () => {
  http = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    await delay(receiver.delay);
    if (receiver.status < 400) {
      const { events } = JSON.parse(Buffer.concat(chunks).toString()) as { events: Event[] };
      receiver.events.push(...events);
      receiver.headers.push(request.headers);
    }
    response.writeHead(receiver.status).end('heard');
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  receiver.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/events?from=registry`;
});
beforeEach(() => {
  Object.assign(receiver, { events: [], headers: [], status: 200, delay: 0 });
});
afterAll(() => {
  http?.closeAllConnections();
  http?.close();
});

/** What an endpoint of the configuration has beside its address. */
async function start(endpoint: object = {}, config: object = {}, how = startBerth): Promise<Server> {
  const endpoints = [{ name: 'receiver', url: receiver.url, timeout: '5s', backoff: '100ms', ...endpoint }];
  const server = await how({ config: { notifications: { endpoints }, ...config } });
  onTestFinished(() => server.stop());
  return server;
}

function clientOf({ url }: { url: string }): RegistryClient {
  const client = createRegistryClient(url);
  onTestFinished(() => client.close());
  return client;
}

const heard = (count: number) => expect.poll(() => receiver.events.length, { timeout: 20_000 }).toBe(count);
const inShort = ({ action, target: { repository, tag } }: Event) => [action, repository, tag];

const image = noiseImage('of events', { layers: 1 });
const [config, layer] = image.blobs as [(typeof image.blobs)[0], (typeof image.blobs)[0]];

/** Everything that is told of, once, and what is not. */
async function doAll(client: RegistryClient): Promise<void> {
  await client.pushBlob('a/b', config, 'stream');
  await client.pushBlob('a/b', layer, 'whole');
  await client.pushManifest('a/b', 'v1', image.manifest);
  await client.pushManifest('a/b', image.manifest.digest, image.manifest);
  const manifest = image.manifest.digest;
  const headers = { Accept: image.manifest.mediaType };
  await client.expect(200, 'GET', '/v2/a/b/manifests/v1', { headers });
  await client.expect(200, 'HEAD', '/v2/a/b/manifests/v1', { headers });
  await client.expect(200, 'GET', `/v2/a/b/manifests/${manifest}`, { headers });
  await client.expect(304, 'GET', '/v2/a/b/manifests/v1', {
    headers: { ...headers, 'If-None-Match': `"${manifest}"` },
  });
  await client.expect(404, 'GET', '/v2/a/b/manifests/none', { headers });
  await client.expect(200, 'GET', `/v2/a/b/blobs/${layer.digest}`);
  await client.expect(206, 'GET', `/v2/a/b/blobs/${layer.digest}`, { headers: { Range: 'bytes=0-9' } });
  await client.expect(200, 'HEAD', `/v2/a/b/blobs/${layer.digest}`);
  await client.expect(200, 'GET', '/v2/a/b/tags/list');
  await client.expect(201, 'POST', `/v2/c/d/blobs/uploads/?mount=${layer.digest}&from=a/b`);
  await client.expect(202, 'POST', '/v2/c/d/blobs/uploads/');
  await client.expect(202, 'DELETE', `/v2/c/d/blobs/${layer.digest}`);
  await client.expect(202, 'DELETE', `/v2/a/b/manifests/${manifest}`);
}

test('are those of distribution, of the same requests', async () => {
  const told: Event[][] = [];
  for (const how of [startDistribution, startBerth]) {
    receiver.events = [];
    const server = await start({ headers: { Authorization: ['Bearer of events'] } }, {}, how);
    await doAll(clientOf(server));
    await heard(14);
    expect(new Set(receiver.events.map(({ id }) => id)).size).toBe(14);
    expect(new Set(receiver.events.map(({ source }) => source.instanceID)).size).toBe(1);
    const times = receiver.events.map(({ timestamp }) => timestamp);
    expect(times.map((time) => Math.abs(Date.parse(time) - Date.now()) < 60_000)).not.toContain(false);
    expect(receiver.headers.at(-1)).toMatchObject({ authorization: 'Bearer of events' });
    // By what it is called and when it was.
    const plain = receiver.events.map(({ id, timestamp, request, source, ...event }) => ({
      ...event,
      target: JSON.parse(JSON.stringify(event.target).replaceAll(server.host, 'registry')),
      request: {
        ...request,
        id: request.id?.length,
        addr: request.addr?.replace(/:\d+$/, ''),
        host: request.host === server.host,
      },
      source: source.addr.endsWith(new URL(server.url).port),
    }));
    told.push(plain as never);
    expect(new Set(receiver.events.slice(-2).map(({ request }) => request.id)).size).toBe(1);
  }
  expect(told[1]).toEqual(told[0]);
});

test('say who it was, and what a manifest refers to, if that is wanted', async () => {
  const folder = await temporaryFolder('berth-events-');
  onTestFinished(() => folder.remove());
  const path = join(folder.path, 'users');
  await addUser(path, 'alice', 'right');
  const endpoints = [{ url: receiver.url, ignore: { mediatypes: ['application/octet-stream'], actions: ['pull'] } }];
  const server = await startBerth({
    config: {
      auth: { htpasswd: { realm: 'berth', path } },
      notifications: { events: { includereferences: true }, endpoints },
    },
  });
  onTestFinished(() => server.stop());
  const authorization = { Authorization: `Basic ${Buffer.from('alice:right').toString('base64')}` };
  const client = clientOf(server);
  for (const { digest, bytes } of image.blobs) {
    await client.expect(201, 'POST', `/v2/a/b/blobs/uploads/?digest=${digest}`, {
      headers: authorization,
      body: bytes,
    });
  }
  const headers = { ...authorization, 'Content-Type': image.manifest.mediaType };
  await client.expect(201, 'PUT', '/v2/a/b/manifests/v1', { headers, body: image.manifest.bytes });
  await client.expect(200, 'GET', '/v2/a/b/manifests/v1', { headers: authorization });
  await client.expect(401, 'PUT', '/v2/a/b/manifests/v2', { body: image.manifest.bytes });
  await server.stop();
  expect(receiver.events.map(inShort)).toEqual([['push', 'a/b', 'v1']]);
  const [event] = receiver.events;
  expect(event?.actor).toEqual({ name: 'alice' });
  const fields = JSON.parse(image.manifest.bytes.toString()) as { config: object; layers: object[] };
  expect(event?.target.references).toEqual([fields.config, ...fields.layers]);
});

test('tell a hit from a miss, and both from what may be out of date', async () => {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.stop());
  const origin = clientOf({ url: upstream.registry.url });
  await origin.push('team/app', image, 'v1');
  const upstreams = [{ name: 'quay.io', endpoints: [upstream.url], revalidate: '0s' }];
  const server = await start({}, { mirror: { upstreams } });
  const client = clientOf(server);
  const pull = async () => {
    await client.getManifest('quay.io/team/app', 'v1');
    await client.getBlob('quay.io/team/app', layer.digest);
  };
  await pull();
  const [, hex = ''] = layer.digest.split(':');
  const kept = join(server.dataDir, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex, 'data');
  await expect.poll(() => existsSync(kept)).toBe(true);
  await delay(200);
  await pull();
  await upstream.down();
  await pull();
  await heard(6);
  const outcomes = ['miss', 'miss', 'hit', 'hit', 'stale', 'hit'];
  expect(receiver.events.map(({ mirror }) => mirror)).toEqual(
    outcomes.map((outcome) => ({ upstream: 'quay.io', outcome })),
  );
  expect(new Set(receiver.events.map(({ target }) => target.repository))).toEqual(new Set(['quay.io/team/app']));
});

test('wait for who does not take them, in order, and keep nobody else waiting', async () => {
  const addr = `127.0.0.1:${await freePort()}`;
  const debug = createHttpClient(`http://${addr}`);
  onTestFinished(() => debug.close());
  const server = await start({}, { http: { debug: { addr, prometheus: { enabled: true } } } });
  const client = clientOf(server);
  receiver.status = 503;
  const begun = Date.now();
  for (let count = 0; count < 20; count += 1) await client.pushBlob(`a/r${count}`, config);
  receiver.delay = 300;
  for (let count = 20; count < 40; count += 1) await client.pushBlob(`a/r${count}`, config);
  expect(Date.now() - begun).toBeLessThan(20_000);
  const metrics = async () => (await debug.request('GET', '/metrics')).text;
  await expect
    .poll(metrics)
    .toMatch(/^registry_notifications_status_total\{code="503 Service Unavailable",endpoint="receiver"\} [1-9]/m);
  expect(await metrics()).toMatch(/^registry_notifications_pending_total\{endpoint="receiver"\} 40$/m);
  Object.assign(receiver, { status: 200, delay: 0 });
  await heard(40);
  expect(receiver.events.map(({ target }) => target.repository)).toEqual(
    Array.from({ length: 40 }, (_, count) => `a/r${count}`),
  );
  await expect.poll(metrics).toMatch(/^registry_notifications_pending_total\{endpoint="receiver"\} 0$/m);
  expect(await metrics()).toMatch(/^registry_notifications_events_total\{type="Successes",endpoint="receiver"\} 40$/m);
  await expect.poll(() => server.logs()).toMatch(/does not take an event.*takes events again/s);
});

test('are delivered before the server ends, but do not keep it for ever', async () => {
  const server = await start({ timeout: '1s' });
  receiver.delay = 100;
  for (let count = 0; count < 10; count += 1) await clientOf(server).pushBlob(`a/r${count}`, config);
  await server.stop();
  expect(receiver.events).toHaveLength(10);

  receiver.delay = 60_000;
  const stuck = await start({ timeout: '1s' });
  await clientOf(stuck).pushBlob('a/b', config);
  const begun = Date.now();
  await stuck.stop();
  expect(Date.now() - begun).toBeLessThan(15_000);
  expect(stuck.logs()).toMatch(/misses events/);
});
