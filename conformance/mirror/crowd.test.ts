import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient } from '../clients/raw/registry-client.ts';
import { blob, type Content } from '../harness/content.ts';
import { startBerth } from '../harness/server.ts';
import { readKept } from './kept.ts';
import { startLiar, truth } from './liar.ts';

const kib = 1024;
const mib = 1024 * kib;
const clients = 50;

test('fifty clients at once pull an image with layers of 1 KiB to 256 MiB that comes once, and read what has not come yet', async () => {
  const layers = [kib, 64 * kib, mib, 16 * mib, 256 * mib].map((size) => blob(randomBytes(size)));
  const [largest] = layers.slice(-1);
  if (largest === undefined) throw new Error('no layers');
  const image = imageOf(layers);
  const upstream = await startLiar();
  onTestFinished(() => upstream.close());
  upstream.add(image, 'v1');

  // The second half of the largest layer is sent when every client has seen its begin: what waits for the end would wait for ever.
  let begun = 0;
  let allHaveBegun = (): void => undefined;
  const everyone = new Promise<void>((resolve) => {
    allHaveBegun = resolve;
  });
  upstream.lie = (request, response, path) => {
    if (request.method !== 'GET' || !path.endsWith(largest.digest)) return truth;
    const half = largest.bytes.length / 2;
    response.writeHead(200, { 'content-length': largest.bytes.length }).write(largest.bytes.subarray(0, half));
    return everyone.then(() => response.end(largest.bytes.subarray(half)));
  };

  const mirror = await startBerth({
    storage: 'filesystem',
    config: {
      mirror: { upstreams: [{ name: 'upstream.example', endpoints: [upstream.url], timeouts: { idle: '5m' } }] },
    },
  });
  onTestFinished(() => mirror.stop());
  const client = createRegistryClient(mirror.url);
  onTestFinished(() => client.close());
  const repository = 'upstream.example/team/app';
  const pull = async () => {
    expect((await client.getManifest(repository, 'v1')).body.equals(image.manifest.bytes)).toBe(true);
    const agent = new Agent({ maxSockets: 3, keepAlive: true });
    const read = (content: Content, first?: () => void) =>
      readBlob(`${mirror.url}/v2/${repository}/blobs/${content.digest}`, content, agent, first);
    await Promise.all(
      image.blobs.map((content) =>
        read(content, () => {
          if (content !== largest) return;
          begun += 1;
          if (begun === clients) allHaveBegun();
        }),
      ),
    );
    agent.destroy();
  };
  await Promise.all(Array.from({ length: clients }, pull));

  const tag = '/v2/team/app/manifests/v1';
  const each = image.blobs.map(({ digest }) => `GET /v2/team/app/blobs/${digest}`);
  expect(upstream.asked.map(({ request }) => request).sort()).toEqual([`HEAD ${tag}`, `GET ${tag}`, ...each].sort());
  const memory = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${mirror.pid}/status`, 'utf8'))?.[1];
  expect(Number(memory)).toBeLessThan(300 * 1024);
  const blobs = [image.manifest, ...image.blobs].map(({ digest }) => digest).sort();
  await expect.poll(() => readKept(mirror.dataDir)).toEqual({ blobs, tags: { v1: image.manifest.digest } });
});

/** Insists on the right bytes, as they come. @param first called with the first of them @throws Error */
function readBlob(url: string, { bytes, digest }: Content, agent: Agent, first?: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      let position = 0;
      response.on('data', (chunk: Buffer) => {
        if (position === 0) first?.();
        if (!chunk.equals(bytes.subarray(position, position + chunk.length))) {
          request.destroy(new Error(`${digest}: wrong bytes behind ${position}`));
        }
        position += chunk.length;
      });
      response.once('error', reject);
      response.once('end', () =>
        response.statusCode === 200 && position === bytes.length
          ? resolve()
          : reject(new Error(`${digest}: ${response.statusCode}, ${position} bytes in place of ${bytes.length}`)),
      );
    });
    request.once('error', reject);
  });
}
