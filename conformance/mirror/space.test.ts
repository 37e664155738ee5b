import { createHash, randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient } from '../clients/raw/registry-client.ts';
import { blob, type Content } from '../harness/content.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { startUpstream } from './upstream.ts';

/*
 * A mirror that may keep a fifth of what its upstream has, while many clients pull: BERTH_SPACE=full runs it with 1 GiB
 * of 5 GiB, which takes some minutes and 12 GiB of disk; otherwise it is a sixteenth of that.
 */

const mebibyte = 1024 * 1024;
const budget = process.env.BERTH_SPACE === 'full' ? 1024 * mebibyte : 64 * mebibyte;
const catalog = 5 * budget;
const clients = 8;
const repositories = 8;
const smallest = 4096;
const largest = budget / 16;

/** What was started, to be ended in reverse. */
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface PulledImage {
  readonly repository: string;
  readonly tag: string;
  readonly size: number;
  readonly blobs: readonly { readonly digest: string; readonly size: number }[];
}

/** From 0 to 1, the same each time. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One of many, the first ones more often (Zipf, exponent 0.9). */
function createZipf(count: number, random: () => number): () => number {
  const sums: number[] = [];
  let total = 0;
  for (let rank = 1; rank <= count; rank += 1) {
    total += rank ** -0.9;
    sums.push(total);
  }
  return () => {
    const point = random() * total;
    return sums.findIndex((sum) => sum > point);
  };
}

/** A cache of whole objects that drops what was used the longest ago, at the instant when it is full. */
class PlainLru {
  readonly #sizes = new Map<string, number>();
  #bytes = 0;

  /** @returns whether it was there */
  ask(key: string, size: number): boolean {
    const there = this.#sizes.delete(key);
    if (!there) this.#bytes += size;
    this.#sizes.set(key, size);
    for (const [oldest, bytes] of this.#sizes) {
      if (this.#bytes <= budget) break;
      this.#sizes.delete(oldest);
      this.#bytes -= bytes;
    }
    return there;
  }
}

/** Bytes of the files below a folder. */
async function bytesBelow(folder: string, counts: (path: string) => boolean = () => true): Promise<number> {
  let total = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) total += await bytesBelow(path, counts);
    else if (counts(path)) total += (await stat(path).catch(() => undefined))?.size ?? 0;
  }
  return total;
}

/**
 * What is stored, with what is being evicted; and what is gathered or being stored. The server is held meanwhile: else
 * what goes would be counted together with what comes in its place.
 */
async function measure({ dataDir, pid }: Server): Promise<{ stored: number; coming: number }> {
  process.kill(pid, 'SIGSTOP');
  try {
    return await measureStopped(dataDir);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function measureStopped(dataDir: string): Promise<{ stored: number; coming: number }> {
  const aside = await bytesBelow(join(dataDir, '_berth/mirror/space/aside'), (path) => !path.endsWith('/batch'));
  const stored = aside + (await bytesBelow(join(dataDir, 'docker/registry/v2/blobs')));
  const uploads = await bytesBelow(join(dataDir, 'docker/registry/v2/repositories'), (path) => path.endsWith('/data'));
  return { stored, coming: uploads + (await bytesBelow(join(dataDir, '_berth/mirror/incoming'))) };
}

test('a cache stays within its budget, is as good as a plain LRU, and breaks no read', {
  timeout: 1_800_000,
}, async () => {
  const upstream = await startUpstream();
  ends.push(() => upstream.stop());
  const origin = createRegistryClient(upstream.registry.url);
  ends.push(async () => origin.close());
  const random = createRandom(7);
  const sizeOf = () => Math.round(smallest * (largest / smallest) ** random());
  const images: PulledImage[] = [];
  const bases: Content[][] = Array.from({ length: repositories }, () => []);
  let size = 0;
  for (let at = 0; size < catalog; at += 1) {
    const repository = `team/app-${at % repositories}`;
    // Every fifth image begins a new base, on which the next ones of its repository build.
    const base = bases[at % repositories] as Content[];
    const fresh = at % 40 < repositories;
    if (fresh) base[0] = blob(randomBytes(sizeOf()));
    const layers = Array.from({ length: 1 + Math.floor(random() * 4) }, () => blob(randomBytes(sizeOf())));
    const image = imageOf([...base, ...layers]);
    await origin.push(repository, image, `v${at}`);
    const blobs = image.blobs.map(({ digest, bytes }) => ({ digest, size: bytes.length }));
    images.push({ repository, tag: `v${at}`, size: image.manifest.bytes.length, blobs });
    size += [...layers, ...(fresh ? base : [])].reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
  images.sort(() => random() - 0.5);

  const mirror = await startBerth({
    storage: 'filesystem',
    config: {
      log: { accesslog: { disabled: true } },
      mirror: {
        maxsize: `${budget / mebibyte}MiB`,
        upstreams: [{ name: 'docker.io', default: true, endpoints: [upstream.url], revalidate: '1h' }],
      },
    },
  });
  ends.push(() => mirror.stop());
  // Hosted images that share some of their layers with images that are pulled.
  const client = createRegistryClient(mirror.url);
  ends.push(async () => client.close());
  const hosted: Content[] = bases.flat();
  await client.push('hosted/app', imageOf(hosted), 'v1');
  const hostedBytes = hosted.reduce((sum, { bytes }) => sum + bytes.length, 0) + 10_000;

  let done = false;
  const most = { stored: 0, total: 0 };
  let measured = 0;
  const watching = (async () => {
    for (; !done; measured += 1) {
      const { stored, coming } = await measure(mirror);
      most.stored = Math.max(most.stored, stored);
      most.total = Math.max(most.total, stored + coming);
      await delay(100);
    }
  })();

  const lru = new PlainLru();
  const asked = { count: 0, bytes: 0 };
  const simulated = { count: 0, bytes: 0 };
  upstream.requests.length = 0;

  async function get(path: string, key: string, size: number, digest?: string): Promise<void> {
    const there = lru.ask(key, size);
    if (digest !== undefined) {
      asked.count += 1;
      asked.bytes += size;
      if (there) simulated.count += 1;
      if (there) simulated.bytes += size;
    }
    const response = await fetch(`${mirror.url}${path}`);
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const hash = createHash('sha256');
    for await (const chunk of response.body ?? []) hash.update(chunk);
    if (digest !== undefined && `sha256:${hash.digest('hex')}` !== digest) throw new Error(`${path} has other bytes`);
  }

  const next = createZipf(images.length, random);
  let left = 3 * images.length;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (left > 0) {
        left -= 1;
        const { repository, tag, size, blobs } = images[next()] as PulledImage;
        await get(`/v2/${repository}/manifests/${tag}`, `${repository}:${tag}`, size);
        for (const { digest, size } of blobs) await get(`/v2/${repository}/blobs/${digest}`, digest, size, digest);
      }
    }),
  );
  const seconds = (performance.now() - begun) / 1000;
  done = true;
  await watching;

  const sizes = new Map(images.flatMap(({ blobs }) => blobs.map(({ digest, size }) => [digest, size])));
  const missed = { count: 0, bytes: 0 };
  for (const request of upstream.requests) {
    const digest = /^GET .*\/blobs\/(.+)$/.exec(request)?.[1];
    if (digest === undefined) continue;
    missed.count += 1;
    missed.bytes += sizes.get(digest) ?? 0;
  }
  const percent = (part: number, whole: number) => `${((100 * part) / whole).toFixed(1)} %`;
  const mib = (bytes: number) => `${(bytes / mebibyte).toFixed(1)} MiB`;
  const hits = { count: asked.count - missed.count, bytes: asked.bytes - missed.bytes };
  console.log(
    [
      `${images.length} images, ${mib(size)}; ${asked.count} blobs, ${mib(asked.bytes)} pulled in ${seconds.toFixed(0)} s`,
      `hits: ${percent(hits.count, asked.count)} of the blobs, ${percent(hits.bytes, asked.bytes)} of the bytes`,
      `LRU:  ${percent(simulated.count, asked.count)} of the blobs, ${percent(simulated.bytes, asked.bytes)} of the bytes`,
      `stored at most ${mib(most.stored)} of ${mib(budget)}, with ${mib(hostedBytes)} hosted; ${mib(most.total)} with what was coming; ${measured} measurements`,
    ].join('\n'),
  );
  expect(measured).toBeGreaterThan(20);
  expect(most.stored).toBeLessThanOrEqual(budget + hostedBytes);
  expect(most.stored).toBeGreaterThan(0.85 * budget);
  // A blob that comes is gathered, and lies there twice while it is stored.
  expect(most.total).toBeLessThanOrEqual(budget + hostedBytes + 2 * clients * largest);
  expect(hits.bytes / asked.bytes).toBeGreaterThan(simulated.bytes / asked.bytes - 0.05);
  for (const { digest, bytes } of hosted) {
    expect((await client.getBlob('hosted/app', digest)).body.equals(bytes)).toBe(true);
  }
  expect(mirror.logs()).not.toMatch(/could not make room| ERROR /);
  expect(mirror.logs()).toMatch(/has dropped what was not asked for/);
});
