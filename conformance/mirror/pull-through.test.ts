import { randomBytes, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PrivateRegistry, passwords, startPrivateRegistry } from '../auth/private-registry.ts';
import { imageOf, noiseImage } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* What a mirror asks of its upstream, what it keeps, and what it never does. */

let upstream: CountedUpstream;
let origin: RegistryClient;
let mirror: Server;
let client: RegistryClient;
const kinds = { default: true, revalidate: '0s' };

beforeAll(async () => {
  upstream = await startUpstream();
  origin = createRegistryClient(upstream.registry.url);
  mirror = await startBerth({
    config: {
      mirror: {
        upstreams: [
          { name: 'docker.io', endpoints: [upstream.url], ...kinds, deny: ['secret/**'] },
          { name: 'slow.example', endpoints: [upstream.url], revalidate: '1h' },
          { name: 'fresh.example', endpoints: [upstream.url], revalidate: '0s', maxstale: '0s' },
        ],
      },
    },
  });
  client = createRegistryClient(mirror.url);
});
afterAll(async () => {
  origin?.close();
  client?.close();
  await mirror?.stop();
  await upstream?.stop();
});

const asked = (pattern: RegExp) => upstream.requests.filter((request) => pattern.test(request));
const name = () => `team/${randomUUID()}`;

test('fifty clients at once cost one download of each blob, and see the first byte before the last has come', async () => {
  const repository = name();
  const layers = [1024, 100_000, 32 * 1024 * 1024].map((size) => blob(randomBytes(size)));
  const image = imageOf(layers);
  await origin.push(repository, image, 'v1');
  upstream.requests.length = 0;
  const begun = performance.now();
  const firsts: number[] = [];
  upstream.speed = 12 * 1024 * 1024;

  await Promise.all(
    Array.from({ length: 50 }, async () => {
      expect((await client.getManifest(repository, 'v1')).body.equals(image.manifest.bytes)).toBe(true);
      for (const { digest, bytes } of layers) {
        const response = await fetch(`${mirror.url}/v2/${repository}/blobs/${digest}`);
        expect(response.status).toBe(200);
        const chunks: Uint8Array[] = [];
        for await (const chunk of response.body ?? []) {
          if (chunks.length === 0 && bytes.length > 1_000_000) firsts.push(performance.now() - begun);
          chunks.push(chunk);
        }
        expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
      }
    }),
  );
  const last = performance.now() - begun;
  upstream.speed = undefined;
  expect(Math.max(...firsts)).toBeLessThan(last / 2);
  for (const { digest } of layers) expect(asked(new RegExp(`^GET .*/blobs/${digest}$`))).toHaveLength(1);
  expect(asked(/^GET .*\/manifests\//)).toHaveLength(1);
  const memory = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${mirror.pid}/status`, 'utf8'))?.[1];
  expect(Number(memory)).toBeLessThan(300 * 1024);
});

test('ranges are read while the blob is on its way', async () => {
  const repository = name();
  const layer = blob(randomBytes(4 * 1024 * 1024));
  await origin.push(repository, imageOf([layer]), 'v1');
  upstream.speed = 2 * 1024 * 1024;
  upstream.requests.length = 0;
  const ranges = await Promise.all(
    ['0-99', '1000000-1999999', '4194000-'].map(async (range) => {
      const reply = await client.request('GET', `/v2/${repository}/blobs/${layer.digest}`, {
        headers: { Range: `bytes=${range}` },
      });
      expect(reply.status).toBe(206);
      const [start = 0, end = layer.bytes.length - 1] = range
        .split('-')
        .map((part) => (part === '' ? undefined : Number(part)));
      return reply.body.equals(layer.bytes.subarray(start, end + 1));
    }),
  );
  upstream.speed = undefined;
  expect(ranges).toEqual([true, true, true]);
  expect(asked(/\/blobs\//)).toHaveLength(1);
});

describe('a tag', () => {
  test('that has moved is followed, and one that has not costs a HEAD', async () => {
    const repository = name();
    const [one, two] = [noiseImage(`${repository} 1`), noiseImage(`${repository} 2`)];
    await origin.push(repository, one, 'latest');
    const get = async () =>
      (await client.getManifest(`docker.io/${repository}`, 'latest')).header('docker-content-digest');
    expect(await get()).toBe(one.manifest.digest);
    upstream.requests.length = 0;
    expect(await get()).toBe(one.manifest.digest);
    expect(upstream.requests).toEqual([`HEAD /v2/${repository}/manifests/latest`]);
    await origin.push(repository, two, 'latest');
    expect(await get()).toBe(two.manifest.digest);
    // And back, to what is kept.
    await origin.pushManifest(repository, 'latest', one.manifest);
    upstream.requests.length = 0;
    expect(await get()).toBe(one.manifest.digest);
    expect(asked(/^GET/)).toEqual([]);
  });

  test('is not asked for again within its time, nor is a digest ever', async () => {
    const repository = `slow.example/${name()}`;
    const image = noiseImage(repository);
    await origin.push(repository.replace('slow.example/', ''), image, 'v1');
    for (const reference of ['v1', image.manifest.digest]) {
      await client.getManifest(repository, reference);
      upstream.requests.length = 0;
      expect((await client.getManifest(repository, reference)).status).toBe(200);
      expect(upstream.requests).toEqual([]);
    }
  });

  test('that is not there is not there, and is not asked for again at once', async () => {
    const repository = name();
    upstream.requests.length = 0;
    for (let count = 0; count < 5; count += 1) expect((await client.getManifest(repository, 'v1')).status).toBe(404);
    expect(asked(/\/manifests\/v1/)).toHaveLength(1);
  });
});

test('without its upstream a mirror serves what it has, says so, and says of the rest when to come again', async () => {
  const repository = name();
  const image = noiseImage(repository);
  await origin.push(repository, image, 'v1');
  await origin.push(repository, noiseImage(`${repository} other`), 'other');
  const [stale, fresh] = [`docker.io/${repository}`, `fresh.example/${repository}`];
  for (const from of [stale, fresh]) {
    await client.getManifest(from, 'v1');
    for (const { digest } of image.blobs) await client.getBlob(from, digest);
  }
  await upstream.down();
  const kept = await client.getManifest(stale, 'v1');
  expect(kept.status).toBe(200);
  expect(kept.header('warning')).toMatch(/^110 berth "docker\.io could not be asked/);
  expect((await client.getManifest(stale, image.manifest.digest)).header('warning')).toBeUndefined();
  for (const { digest, bytes } of image.blobs)
    expect((await client.getBlob(stale, digest)).body.equals(bytes)).toBe(true);
  for (const [from, tag] of [
    [fresh, 'v1'],
    [stale, 'other'],
  ] as const) {
    const reply = await client.getManifest(from, tag);
    expect(reply.status, String(reply)).toBe(503);
    expect(Number(reply.header('retry-after'))).toBeGreaterThan(0);
  }
  await upstream.up();
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await client.getManifest(stale, 'other')).status === 200) break;
    await delay(100);
  }
  expect((await client.getManifest(stale, 'other')).status).toBe(200);
});

describe('what is hosted', () => {
  test('is never shadowed, and no upstream is asked for what is missing in it', async () => {
    const repository = name();
    const [own, other] = [noiseImage(`${repository} own`), noiseImage(`${repository} other`)];
    await origin.push(repository, other, 'v1');
    await origin.push(repository, other, 'v2');
    await client.push(repository, own, 'v1');
    upstream.requests.length = 0;
    expect((await client.getManifest(repository, 'v1')).header('docker-content-digest')).toBe(own.manifest.digest);
    expect((await client.getManifest(repository, 'v2')).status).toBe(404);
    expect(upstream.requests).toEqual([]);
    expect(await client.tags(repository)).toEqual(['v1']);
  });

  test('cannot be read by its digest through the name of an upstream that does not have it', async () => {
    const secret = blob(`secret ${randomUUID()}`);
    await client.pushBlob(name(), secret);
    const repository = name();
    await origin.push(repository, noiseImage(repository), 'v1');
    for (const from of [`docker.io/${repository}`, repository]) {
      expect((await client.getBlob(from, secret.digest)).status).toBe(404);
    }
  });

  test('is shared with what an upstream has, without another download', async () => {
    const repository = name();
    const image = noiseImage(repository);
    await origin.push(repository, image, 'v1');
    await client.push(name(), image, 'v1');
    const from = `docker.io/${repository}`;
    upstream.requests.length = 0;
    for (const { digest, bytes } of image.blobs) {
      for (let count = 0; count < 2; count += 1)
        expect((await client.getBlob(from, digest)).body.equals(bytes)).toBe(true);
      expect(asked(new RegExp(digest))).toHaveLength(1);
    }
  });
});

test('names are keys into the list: what is not in it is not asked for', async () => {
  const repository = name();
  await origin.push(repository, noiseImage(repository), 'v1');
  const status = async (path: string, query = '') =>
    (await client.request('GET', `/v2/${path}/manifests/v1${query}`)).status;
  expect(await status(repository, '?ns=docker.io')).toBe(200);
  upstream.requests.length = 0;
  expect(await status(`127.0.0.1/${repository}`)).toBe(404);
  expect(await status(`evil.example/${repository}`, `?ns=${encodeURIComponent(upstream.url)}`)).toBe(404);
  const reply = await client.request('GET', `/v2/${repository}/manifests/v1?ns=docker.io`);
  expect(reply.header('oci-namespace')).toBe('docker.io');
  for (const odd of ['%0d%0a', 'docker.io%0d%0aX:%20y', 'doc%E2%84%AAer.io', '%00']) {
    const { status, headers } = await fetch(`${mirror.url}/v2/${repository}/manifests/v1?ns=${odd}`);
    expect([odd, status, headers.get('oci-namespace')]).toEqual([odd, 404, null]);
  }
  await origin.push(`secret/${repository}`, noiseImage('secret'), 'v1');
  upstream.requests.length = 0;
  expect(await status(`docker.io/secret/${repository}`)).toBe(404);
  expect(upstream.requests).toEqual([]);
});

test('HEAD of a layer says how long it is, and brings nothing', async () => {
  const repository = name();
  const layer = blob(randomBytes(1024 * 1024));
  await origin.push(repository, imageOf([layer]), 'v1');
  upstream.requests.length = 0;
  const path = `docker.io/${repository}/blobs/${layer.digest}`;
  const reply = await client.request('HEAD', `/v2/${path}`);
  expect([reply.status, reply.header('content-length')]).toEqual([200, String(layer.bytes.length)]);
  expect(upstream.requests).toEqual([`HEAD /v2/${repository}/blobs/${layer.digest}`]);
});

test('what was pushed before its name was an upstream’s stays as it is; read-only, all that is kept is served', async () => {
  const folder = await temporaryFolder();
  const repository = name();
  const [own, theirs] = [noiseImage(`${repository} own`), noiseImage(`${repository} theirs`)];
  const hostedName = `docker.io/${repository}`;
  const mirroredName = `docker.io/${name()}`;
  await origin.push(repository, theirs, 'v1');
  await origin.push(mirroredName.replace('docker.io/', ''), theirs, 'v1');
  const upstreams = [{ name: 'docker.io', endpoints: [upstream.url], ...kinds }];
  const maintenance = { readonly: { enabled: true } };
  const digestsWith = async (config: object, before?: (registry: RegistryClient) => Promise<void>) => {
    const server = await startBerth({ config, dataDir: folder.path });
    const registry = createRegistryClient(server.url);
    await before?.(registry);
    const found = [];
    for (const each of [hostedName, mirroredName, mirroredName.replace('docker.io/', '')]) {
      found.push((await registry.getManifest(each, 'v1')).header('docker-content-digest'));
    }
    registry.close();
    await server.stop();
    return found;
  };
  const [a, b] = [own.manifest.digest, theirs.manifest.digest];
  expect(
    await digestsWith({}, async (registry) => {
      await registry.push(hostedName, own, 'v1');
    }),
  ).toEqual([a, undefined, undefined]);
  for (let count = 0; count < 2; count += 1) expect(await digestsWith({ mirror: { upstreams } })).toEqual([a, b, b]);
  upstream.requests.length = 0;
  expect(await digestsWith({ mirror: { upstreams }, storage: { maintenance } })).toEqual([a, b, b]);
  expect(upstream.requests).toEqual([]);
  await folder.remove();
});

test('a server stops though a blob comes slowly', async () => {
  const repository = name();
  const layer = blob(randomBytes(4 * 1024 * 1024));
  await origin.push(repository, imageOf([layer]), 'v1');
  upstream.speed = 100 * 1024;
  const server = await startBerth({
    config: {
      http: { draintimeout: '100ms' },
      mirror: { upstreams: [{ name: 'docker.io', endpoints: [upstream.url] }] },
    },
  });
  const pulling = fetch(`${server.url}/v2/docker.io/${repository}/blobs/${layer.digest}`);
  const body = pulling.then((reply) => reply.arrayBuffer());
  body.catch(() => undefined);
  await pulling;
  const begun = performance.now();
  await server.stop();
  expect(performance.now() - begun).toBeLessThan(4_000);
  await expect(body).rejects.toThrow();
  upstream.speed = undefined;
});

test('a private upstream is logged in to, and nobody sees how', async () => {
  const registry: PrivateRegistry = await startPrivateRegistry();
  const image = noiseImage('private');
  await registry.push('writer', 'team/app', image, 'v1');
  const endpoints = [registry.server.url];
  const account = { username: 'reader', password: passwords.reader };
  const private_ = await startBerth({
    config: {
      log: { level: 'debug' },
      mirror: {
        upstreams: [
          { name: 'private.example', endpoints, ...account },
          { name: 'closed.example', endpoints },
          { name: 'wrong.example', endpoints, ...account, password: 'wrong' },
        ],
      },
    },
  });
  const pull = createRegistryClient(private_.url);
  expect((await pull.getManifest('private.example/team/app', 'v1')).body.equals(image.manifest.bytes)).toBe(true);
  for (const { digest, bytes } of image.blobs) {
    expect((await pull.getBlob('private.example/team/app', digest)).body.equals(bytes)).toBe(true);
  }
  for (const host of ['closed.example', 'wrong.example']) {
    const reply = await pull.getManifest(`${host}/team/app`, 'v1');
    expect(reply.status, String(reply)).toBe(404);
    expect(reply.text).toContain(host);
  }
  expect(private_.logs()).not.toContain(passwords.reader);
  pull.close();
  await private_.stop();
  await registry.stop();
});

test('a server that is killed in the middle of a download has nothing half, and begins again', async () => {
  const folder = await temporaryFolder();
  const repository = `docker.io/${name()}`;
  const layer = blob(randomBytes(8 * 1024 * 1024));
  await origin.push(repository.replace('docker.io/', ''), imageOf([layer]), 'v1');
  const config = { mirror: { upstreams: [{ name: 'docker.io', endpoints: [upstream.url], ...kinds }] } };
  upstream.speed = 4 * 1024 * 1024;
  const first = await startBerth({ config, dataDir: folder.path });
  const pulling = fetch(`${first.url}/v2/${repository}/blobs/${layer.digest}`).then((reply) => reply.arrayBuffer());
  pulling.catch(() => undefined);
  await delay(700);
  await first.kill();
  await expect(pulling).rejects.toThrow();
  await first.stop();
  upstream.speed = undefined;
  const second = await startBerth({ config, dataDir: folder.path });
  const pull = createRegistryClient(second.url);
  expect((await pull.getBlob(repository, layer.digest)).body.equals(layer.bytes)).toBe(true);
  upstream.requests.length = 0;
  expect((await pull.getBlob(repository, layer.digest)).body.equals(layer.bytes)).toBe(true);
  expect(upstream.requests).toEqual([]);
  pull.close();
  await second.stop();
  await folder.remove();
});
