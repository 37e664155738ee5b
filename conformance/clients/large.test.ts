import { createHash, type Hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { registryIsGiven } from '../harness/under-test.ts';
import { noise, noiseImage } from './raw/artifact.ts';
import { createRegistryClient, locationOf, type RegistryClient, withDigest } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

const MiB = 1024 * 1024;
/** A little more than 2 GiB, so that offsets do not fit into 31 bits. */
const layerChunks = 2049;
/** Far below the layer, well above a server at rest. Of all processes of the server together. */
const memoryLimit = 256 * MiB;

let registry: RegistryUnderTest;
let client: RegistryClient;

beforeAll(async () => {
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
});

/** The layer, in pieces of 1 MiB of which no two are the same; each goes through `hash` first. */
function* layer(hash: Hash): Generator<Buffer> {
  const piece = noise('a large layer', MiB);
  for (let at = 0; at < layerChunks; at++) {
    const chunk = Buffer.from(piece);
    chunk.writeUInt32BE(at);
    hash.update(chunk);
    yield chunk;
  }
}

/** The highest amount of memory, in bytes, that a process and those below it have had, each at its own time. */
async function peakMemory(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  let peak = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    const children = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8');
    for (const child of children.split(' ').filter((text) => text !== '')) peak += await peakMemory(Number(child));
  }
  return peak;
}

describe('a layer of 2 GiB', () => {
  let digest: string;

  test('is taken as one stream', async () => {
    const location = await client.startUpload('large/layer');
    const hash = createHash('sha256');
    const sent = await client.expect(202, 'PATCH', location, { body: layer(hash) });
    expect(sent.header('Range')).toBe(`0-${layerChunks * MiB - 1}`);
    digest = `sha256:${hash.digest('hex')}`;
    await client.expect(201, 'PUT', withDigest(locationOf(sent), digest));
  });

  test('is given back whole', async () => {
    const reply = await fetch(`${registry.url}/v2/large/layer/blobs/${digest}`);
    expect([reply.status, reply.headers.get('Content-Length')]).toEqual([200, String(layerChunks * MiB)]);
    const hash = createHash('sha256');
    for await (const chunk of reply.body ?? []) hash.update(chunk);
    expect(`sha256:${hash.digest('hex')}`).toBe(digest);
  });

  test('is given in part from behind the second GiB', async () => {
    const start = (layerChunks - 1) * MiB;
    const headers = { Range: `bytes=${start}-${start + 3}` };
    const reply = await client.expect(206, 'GET', `/v2/large/layer/blobs/${digest}`, { headers });
    expect(reply.header('Content-Range')).toBe(`bytes ${start}-${start + 3}/${layerChunks * MiB}`);
    expect(reply.body.readUInt32BE()).toBe(layerChunks - 1);
  });

  test.skipIf(registryIsGiven)('does not go through the memory of the server', async () => {
    expect(await peakMemory(registry.server?.pid ?? 0)).toBeLessThan(memoryLimit);
  });
});

describe('a repository of a thousand tags', () => {
  const image = noiseImage('of a thousand tags');
  const tags = Array.from({ length: 1000 }, (_, n) => `v${n}`).sort();

  beforeAll(async () => {
    await client.push('large/tags', image);
    await Promise.all(tags.map((tag) => client.pushManifest('large/tags', tag, image.manifest)));
  });

  test.each([undefined, 7, 100, 999, 1000, 1001])('lists them in pages of %s', async (n) => {
    expect(await client.tags('large/tags', n)).toEqual(tags);
  });

  test('loses all of them with the manifest', async () => {
    await client.expect(202, 'DELETE', `/v2/large/tags/manifests/${image.manifest.digest}`);
    expect(await client.tags('large/tags')).toEqual([]);
    expect((await client.getManifest('large/tags', 'v500')).status).toBe(404);
  });
});
