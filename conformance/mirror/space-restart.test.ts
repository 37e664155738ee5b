import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob, type Content } from '../harness/content.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* What a mirror with a budget knows when it starts again. */

const repository = 'docker.io/team/app';
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function prepare(): Promise<{ upstream: CountedUpstream; layers: Content[]; dataDir: string }> {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const layers = Array.from({ length: 10 }, () => blob(randomBytes(100_000)));
  const origin = createRegistryClient(upstream.registry.url);
  await origin.push('team/app', imageOf(layers), 'v1');
  origin.close();
  const folder = await temporaryFolder();
  ends.push(() => folder.remove());
  return { upstream, layers, dataDir: folder.path };
}

async function start(upstream: CountedUpstream, dataDir: string, maxsize: string): Promise<[Server, RegistryClient]> {
  const upstreams = [{ name: 'docker.io', endpoints: [upstream.url] }];
  const server = await startBerth({ storage: 'filesystem', dataDir, config: { mirror: { maxsize, upstreams } } });
  const client = createRegistryClient(server.url);
  ends.push(async () => client.close());
  ends.push(() => server.stop());
  return [server, client];
}

/** @returns which of them the upstream was asked for */
async function pull(client: RegistryClient, upstream: CountedUpstream, layers: readonly Content[]): Promise<number[]> {
  upstream.requests.length = 0;
  for (const { digest, bytes } of layers) {
    expect((await client.getBlob(repository, digest)).body.equals(bytes)).toBe(true);
  }
  return layers.flatMap(({ digest }, at) =>
    upstream.requests.some((request) => request.endsWith(digest)) ? [at] : [],
  );
}

/** Resolves when they are all in the storage, which is a moment after they were given out. */
async function stored(dataDir: string, layers: readonly Content[]): Promise<void> {
  const paths = layers
    .map(({ digest }) => digest.slice('sha256:'.length))
    .map((hex) => join(hex.slice(0, 2), hex, 'data'));
  const isThere = (path: string) => existsSync(join(dataDir, 'docker/registry/v2/blobs/sha256', path));
  await expect.poll(() => paths.every(isThere)).toBe(true);
  await delay(100);
}

async function logged(server: Server, line: RegExp): Promise<string> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(50)) {
    const found = line.exec(server.logs())?.[0];
    if (found !== undefined) return found;
  }
  throw new Error(`no line ${line} in ${server.logs()}`);
}

test('a mirror that starts with a smaller budget drops what was not asked for the longest', async () => {
  const { upstream, layers, dataDir } = await prepare();
  const [first, client] = await start(upstream, dataDir, '100MiB');
  expect(await pull(client, upstream, layers)).toHaveLength(10);
  await stored(dataDir, layers);
  expect(await pull(client, upstream, layers.slice(0, 3))).toEqual([]);
  await first.stop();

  const [second, again] = await start(upstream, dataDir, '500KB');
  expect(await logged(second, /knows what it has.*/)).toMatch(/count=10 bytes=1000000/);
  await logged(second, /has dropped what was not asked for.*/);
  // The three that were asked for again, and the last one that had come.
  expect(await pull(again, upstream, [...layers.slice(0, 3), layers[9] as Content])).toEqual([]);
  expect(await pull(again, upstream, [layers[3] as Content])).toEqual([0]);
});

test('what was used last is known after a crash, too', async () => {
  const { upstream, layers, dataDir } = await prepare();
  const [first, client] = await start(upstream, dataDir, '100MiB');
  await pull(client, upstream, layers);
  await stored(dataDir, layers);
  await pull(client, upstream, layers.slice(0, 3));
  // Written every ten seconds.
  await delay(11_000);
  await first.kill();
  const [second, again] = await start(upstream, dataDir, '500KB');
  await logged(second, /has dropped what was not asked for.*/);
  expect(await pull(again, upstream, layers.slice(0, 3))).toEqual([]);
});

test('content that another program has deleted comes again, also while this one believes that it is there', async () => {
  const { upstream, layers, dataDir } = await prepare();
  const [, client] = await start(upstream, dataDir, '100MiB');
  await pull(client, upstream, layers);
  const hex = layers[0]?.digest.slice('sha256:'.length) ?? '';
  await rm(join(dataDir, 'docker/registry/v2/blobs/sha256', hex.slice(0, 2), hex), { recursive: true });
  expect(await pull(client, upstream, layers)).toEqual([0]);
});
