import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Artifact, imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { s3Bucket } from '../harness/s3-server.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/*
 * Several mirrors on one bucket, before one upstream.
 */

const mib = 1024 * 1024;
const repository = 'docker.io/team/app';

interface Scene {
  readonly upstream: CountedUpstream;
  /** Below which everything is in the bucket. */
  readonly root: string;
  /** Has an image in the upstream from now on. */
  publish(image: Artifact, tag: string): Promise<void>;
  /** One more mirror. */
  start(): Promise<{ readonly server: Server; readonly client: RegistryClient }>;
}

async function stage(redirect: boolean, mirror: object = {}): Promise<Scene> {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.stop());
  const folder = await temporaryFolder('berth-mirror-bucket-');
  onTestFinished(() => folder.remove());
  const origin = createRegistryClient(upstream.registry.url);
  onTestFinished(() => origin.close());
  const upstreams = [{ name: 'docker.io', default: true, endpoints: [upstream.url], revalidate: '0s' }];
  return {
    upstream,
    root: `${folder.path}/data`,
    publish: (image, tag) => origin.push('team/app', image, tag),
    async start() {
      const config = { mirror: { upstreams, ...mirror } };
      const server = await startBerth({ storage: 's3', redirect, dataDir: `${folder.path}/data`, config });
      onTestFinished(() => server.stop());
      const client = createRegistryClient(server.url);
      onTestFinished(() => client.close());
      return { server, client };
    },
  };
}

/** Insists on the right bytes of all of it. @returns the `Warning` of the manifest */
async function pull(client: RegistryClient, image: Artifact, tag: string): Promise<string | undefined> {
  const manifest = await client.getManifest(repository, tag);
  expect([manifest.status, manifest.body.equals(image.manifest.bytes)], String(manifest)).toEqual([200, true]);
  await Promise.all(
    image.blobs.map(async ({ digest, bytes }) => {
      const reply = await client.getBlob(repository, digest);
      expect([reply.status, reply.body.equals(bytes)], String(reply)).toEqual([200, true]);
    }),
  );
  return manifest.header('warning');
}

const imageWith = (...sizes: number[]) => imageOf(sizes.map((size) => blob(randomBytes(size))));

describe.each([
  { how: 'sent to the bucket', redirect: true },
  { how: 'served through berth', redirect: false },
])('in a bucket, clients being $how', ({ redirect }) => {
  test('a crowd at two mirrors costs one download for each of them at most, and the upstream is needed no more', async () => {
    const { upstream, publish, start } = await stage(redirect);
    const image = imageWith(1024, mib, 20 * mib);
    await publish(image, 'v1');
    const mirrors = [await start(), await start()];
    upstream.requests.length = 0;
    await Promise.all(mirrors.flatMap(({ client }) => Array.from({ length: 8 }, () => pull(client, image, 'v1'))));
    for (const { digest } of image.blobs) {
      const downloads = upstream.requests.filter((request) => request === `GET /v2/team/app/blobs/${digest}`);
      expect([1, 2]).toContain(downloads.length);
    }

    await upstream.down();
    const fresh = await start();
    expect(await pull(fresh.client, image, 'v1')).toMatch(/^110 /);
  });

  test('a mirror that is killed while it fills leaves nothing half, and another one goes on', async () => {
    const { upstream, root, publish, start } = await stage(redirect);
    const image = imageWith(30 * mib);
    const [layer] = image.blobs.slice(-1);
    await publish(image, 'v1');
    const first = await start();
    upstream.speed = 20 * mib;
    const broken = pull(first.client, image, 'v1').catch(() => 'broken off');
    await delay(700);
    await first.server.kill();
    expect(await broken).toBe('broken off');
    const [, hex = ''] = (layer?.digest ?? '').split(':');
    expect((await (await s3Bucket()).keys(root)).filter((key) => key.includes(hex))).toEqual([]);

    upstream.speed = undefined;
    const second = await start();
    await pull(second.client, image, 'v1');
    await expect
      .poll(async () => (await (await s3Bucket()).keys(root)).some((key) => key.endsWith(`${hex}/data`)))
      .toBe(true);
    await upstream.down();
    await pull(second.client, image, 'v1');
  });
});

test('two mirrors on a bucket keep within maxsize together, and break no read', async () => {
  const budget = 24 * mib;
  const { root, publish, start } = await stage(false, { maxsize: String(budget) });
  const images = Array.from({ length: 16 }, () => imageWith(3 * mib, 100_000));
  for (const [index, image] of images.entries()) await publish(image, `v${index}`);
  const mirrors = [await start(), await start()];
  await Promise.all(
    mirrors.map(async ({ client }, mirror) => {
      for (const index of images.keys()) {
        // Each in an order of its own.
        const at = mirror === 0 ? index : images.length - 1 - index;
        await pull(client, images[at] as Artifact, `v${at}`);
      }
    }),
  );
  const stored = async () => {
    const sizes = await (await s3Bucket()).sizes(root);
    return [...sizes].reduce((sum, [key, size]) => sum + (key.includes('/v2/blobs/') ? size : 0), 0);
  };
  await expect.poll(stored, { timeout: 60_000, interval: 1_000 }).toBeLessThanOrEqual(budget);
});
