import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { startUpstream } from './upstream.ts';

/* A mirror that evicts all the time is killed, again and again, while somebody mounts what it has into hosted images. */

const mebibyte = 1024 * 1024;
const budget = 4 * mebibyte;
const kills = 6;

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function filesNamed(folder: string, name: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile() && entry.name === name).map((entry) => join(entry.parentPath, name));
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Of all blobs. What is evicted meanwhile does not count. */
async function storedBytes(root: string): Promise<number> {
  const sizeOf = (path: string) =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    );
  const sizes = await Promise.all((await filesNamed(join(root, 'blobs'), 'data')).map(sizeOf));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Tags that point to a manifest whose link or content is not there. */
async function brokenTags(root: string): Promise<string[]> {
  const broken: string[] = [];
  for (const link of await filesNamed(join(root, 'repositories'), 'link')) {
    const [, repository, tag] = /^(.*)\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(link) ?? [];
    if (repository === undefined) continue;
    const digest = await readFile(link, 'utf8');
    const [algorithm = '', hex = ''] = digest.split(':');
    const data = join(root, 'blobs', algorithm, hex.slice(0, 2), hex, 'data');
    const revision = join(repository, '_manifests/revisions', algorithm, hex, 'link');
    if (!(await exists(data)) || !(await exists(revision))) broken.push(`${repository}:${tag}`);
  }
  return broken;
}

test('a mirror that is killed while it evicts loses nothing that is hosted, and points nowhere', async () => {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const origin = createRegistryClient(upstream.registry.url);
  ends.push(async () => origin.close());
  const images = Array.from({ length: 40 }, () => imageOf([200_000, 300_000].map((size) => blob(randomBytes(size)))));
  for (const [at, image] of images.entries()) await origin.push('team/app', image, `v${at}`);
  const folder = await temporaryFolder();
  ends.push(() => folder.remove());
  const root = join(folder.path, 'docker/registry/v2');
  const upstreams = [{ name: 'docker.io', default: true, endpoints: [upstream.url], revalidate: '0s' }];
  const config = { storage: { delete: { enabled: false } }, mirror: { maxsize: `${budget}`, upstreams } };
  /** Images that were acknowledged. */
  const hosted = new Set<number>();
  let mounted = 0;

  for (let kill = 0; kill <= kills; kill += 1) {
    const mirror = await startBerth({ storage: 'filesystem', dataDir: folder.path, config });
    const client = createRegistryClient(mirror.url);
    const pull = async (at: number) => {
      const manifest = await client.getManifest('docker.io/team/app', `v${at}`);
      expect(manifest.status).toBe(200);
      for (const { digest, bytes } of images[at]?.blobs ?? []) {
        expect((await client.getBlob('docker.io/team/app', digest)).body.equals(bytes)).toBe(true);
      }
    };
    try {
      for (const at of hosted) {
        for (const { digest, bytes } of images[at]?.blobs ?? []) {
          expect((await client.getBlob(`hosted/app-${at}`, digest)).body.equals(bytes)).toBe(true);
        }
      }
      if (kill === kills) {
        for (const at of images.keys()) await pull(at);
        // What was hosted was not evicted; and what was evicted has left its place, the last of it a moment after the client had
        // the last byte.
        const room = budget + hosted.size * 510_000;
        await expect.poll(() => storedBytes(root), { timeout: 10_000 }).toBeLessThanOrEqual(room);
        break;
      }
      let killed = false;
      const unlessKilled = (error: unknown) => {
        if (!killed) throw error;
      };
      const pulling = Array.from({ length: 4 }, async () => {
        while (!killed) await pull(Math.floor(Math.random() * images.length)).catch(unlessKilled);
      });
      const mounting = (async () => {
        while (!killed) {
          const at = Math.floor(Math.random() * images.length);
          const image = images[at];
          if (image === undefined || hosted.has(at) || hosted.size >= 2 * (kill + 1)) {
            await delay(5);
            continue;
          }
          try {
            for (const part of image.blobs) {
              const target = `/v2/hosted/app-${at}/blobs/uploads/?mount=${part.digest}&from=docker.io/team/app`;
              const reply = await client.request('POST', target);
              if (reply.status === 201) mounted += 1;
              else await client.pushBlob(`hosted/app-${at}`, part);
            }
            await client.pushManifest(`hosted/app-${at}`, 'v1', image.manifest);
            hosted.add(at);
          } catch (error) {
            unlessKilled(error);
          }
        }
      })();
      await delay(500 + Math.random() * 1_500);
      killed = true;
      await mirror.kill();
      await Promise.all([...pulling, mounting]);
      expect(await brokenTags(root)).toEqual([]);
    } finally {
      client.close();
      await mirror.stop();
    }
  }
  expect(hosted.size).toBeGreaterThan(kills);
  expect(mounted).toBeGreaterThan(0);
  expect(await filesNamed(join(folder.path, '_berth/mirror/space/aside'), 'data')).toEqual([]);
});
