import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createDriver } from '../../storage-drivers/index.ts';
import { type Bucket, newBucket } from '../../storage-drivers/s3/testing/bucket.ts';
import { type FaultProxy, startFaultProxy } from '../../storage-drivers/s3/testing/fault-proxy.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-type.ts';
import { parseRepositoryName, parseTag, type RepositoryName } from '../oci/name.ts';
import { layout } from './layout.ts';
import type { Body, Registry, Repository } from './registry.ts';
import { createStorageRegistry } from './storage-registry.ts';

/** What each operation of the registry costs in requests to the S3 server, as a proxy before it counts them. */

let bucket: Bucket;
let proxy: FaultProxy;
let driver: StorageDriver;
let registry: Registry;
const drivers: StorageDriver[] = [];

function newDriver(): StorageDriver {
  const { region, accessKey, secretKey } = bucket.server;
  const created = createDriver('s3', {
    regionendpoint: proxy.endpoint,
    region,
    accesskey: accessKey,
    secretkey: secretKey,
    bucket: bucket.name,
    rootdirectory,
  });
  drivers.push(created);
  return created;
}

const rootdirectory = randomUUID();

beforeAll(async () => {
  bucket = await newBucket();
  proxy = await startFaultProxy({ endpoint: bucket.server.endpoint });
  driver = newDriver();
  registry = createStorageRegistry({ driver });
}, 120_000);

afterAll(async () => {
  await Promise.all(drivers.map((each) => each.close?.()));
  await proxy.close();
  await bucket.remove();
}, 120_000);

const latest = parseTag('latest');
const everything = () => true;

function freshRepository(): Repository {
  return registry.repository(parseRepositoryName(`user/${randomUUID()}`));
}

async function* body(bytes: Uint8Array): Body {
  for (let start = 0; start < bytes.length; start += 65_536) yield bytes.subarray(start, start + 65_536);
}

/** The operations, in the order in which they were sent. */
async function requestsOf(task: () => Promise<unknown>): Promise<string[]> {
  proxy.forget();
  await task();
  return [...proxy.operations];
}

/** As docker, skopeo, podman and crane do it: POST, PATCH, PUT. */
async function pushInPieces(repository: Repository, bytes: Buffer): Promise<Digest> {
  const { id } = await repository.uploads.create();
  await repository.uploads.find(id).append(body(bytes));
  const { digest } = await repository.uploads.find(id).commit(digestOf(bytes));
  return digest;
}

/** As containerd, buildkit and oras do it: POST, PUT. */
async function pushWhole(repository: Repository, bytes: Buffer): Promise<Digest> {
  const { id } = await repository.uploads.create();
  const { digest } = await repository.uploads.find(id).commit(digestOf(bytes), body(bytes));
  return digest;
}

/** POST with `digest=`. */
async function pushAtOnce(repository: Repository, bytes: Buffer): Promise<Digest> {
  return (await repository.uploads.put(digestOf(bytes), body(bytes))).digest;
}

function imageOf(digests: readonly Digest[]): Buffer {
  const [config, ...layers] = digests.map((digest) => ({ mediaType: 'application/octet-stream', digest, size: 3000 }));
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers }));
}

type PushBlob = (repository: Repository, bytes: Buffer) => Promise<Digest>;

async function pushImage(repository: Repository, push: PushBlob): Promise<Digest> {
  const digests: Digest[] = [];
  for (let index = 0; index < 3; index += 1) digests.push(await push(repository, randomBytes(3000)));
  const { descriptor } = await repository.manifests.put(latest, imageOf(digests), { mediaType: undefined });
  return descriptor.digest;
}

async function read(repository: Repository, digest: Digest): Promise<number> {
  const reader = await (await repository.blobs.get(digest)).open();
  let size = 0;
  for await (const chunk of reader) size += chunk.length;
  return size;
}

async function take<T>(items: AsyncIterable<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const item of items) if (taken.push(item) === count) break;
  return taken;
}

describe('pulling', () => {
  let repository: Repository;
  let manifest: Digest;
  let blob: Digest;
  let large: Digest;
  beforeAll(async () => {
    repository = freshRepository();
    manifest = await pushImage(repository, pushWhole);
    blob = await pushWhole(repository, randomBytes(3000));
    large = await pushWhole(repository, randomBytes(200_000));
  });

  const rows: [name: string, pull: () => Promise<unknown>, requests: string[]][] = [
    ['a manifest by tag', () => repository.manifests.get(latest), ['GetObject']],
    ['a manifest by digest', () => repository.manifests.get(manifest), ['GetObject']],
    ['HEAD of a blob', () => repository.blobs.stat(blob), ['GetObject']],
    ['a small blob', () => read(repository, blob), ['GetObject']],
    ['a blob by redirect', async () => (await repository.blobs.get(large)).redirectUrl(), ['GetObject']],
    ['a large blob through the registry', () => read(repository, large), ['GetObject', 'GetObject']],
    ['a mount', () => freshRepository().blobs.mount(blob, repository.name, everything), ['GetObject', 'PutObject']],
  ];
  test.each(rows)('%s, when its content was seen before', async (_name, pull, requests) => {
    await pull();
    expect(await requestsOf(pull)).toEqual(requests);
  });

  test('a replica that has seen nothing asks for the content too', async () => {
    const other = createStorageRegistry({ driver: newDriver() }).repository(repository.name);
    expect(await requestsOf(() => other.manifests.get(latest))).toEqual(['GetObject', 'GetObject']);
    expect(await requestsOf(() => other.blobs.stat(blob))).toEqual(['GetObject', 'HeadObject']);
    expect(await requestsOf(() => other.manifests.get(latest))).toEqual(['GetObject']);
  });
});

describe('pushing', () => {
  test('a small blob: POST, PATCH, PUT', async () => {
    const repository = freshRepository();
    expect(await requestsOf(() => pushInPieces(repository, randomBytes(3000)))).toEqual([
      'PutObject',
      ...['ListObjectsV2', 'PutObject'],
      ...['PutObject', 'CopyObject', 'DeleteObjects'],
    ]);
  });

  test('a small blob: POST, PUT', async () => {
    const repository = freshRepository();
    expect(await requestsOf(() => pushWhole(repository, randomBytes(3000)))).toEqual([
      'PutObject',
      ...['ListObjectsV2', 'PutObject', 'PutObject', 'DeleteObjects'],
    ]);
  });

  test('a small blob: POST with its digest', async () => {
    const repository = freshRepository();
    expect(await requestsOf(() => pushAtOnce(repository, randomBytes(3000)))).toEqual(['PutObject', 'PutObject']);
  });

  test('a large blob whose digest is known goes to its place without a copy', async () => {
    const repository = freshRepository();
    const requests = await requestsOf(() => pushWhole(repository, randomBytes(25 * 1024 * 1024)));
    expect(requests.filter((name) => name === 'UploadPart')).toHaveLength(3);
    expect(requests.filter((name) => name.includes('Copy'))).toEqual([]);
    expect(requests).toHaveLength(10);
  });

  const images: [flow: string, push: PushBlob, requests: number][] = [
    ['POST, PATCH, PUT', pushInPieces, 25],
    ['POST, PUT', pushWhole, 22],
    ['POST with the digest', pushAtOnce, 13],
  ];
  test.each(images)('an image of three small blobs by %s', async (_flow, push, requests) => {
    const repository = freshRepository();
    expect(await requestsOf(() => pushImage(repository, push))).toHaveLength(requests);
  });
});

describe('lists', () => {
  const names = Array.from({ length: 400 }, (_, index) => {
    const base = `team/app${String(Math.floor(index / 4)).padStart(3, '0')}`;
    return [base, `${base}-extra`, `${base}.x`, `${base}/x`][index % 4] ?? base;
  }).sort();
  const tagged = parseRepositoryName('tagged/app');
  const tags = Array.from(
    { length: 500 },
    (_, index) => `1.${Math.floor(index / 2)}${index % 2 ? '-alpine' : ''}`,
  ).sort();

  beforeAll(async () => {
    const link = Buffer.from(`sha256:${'0'.repeat(64)}`);
    const paths = [
      ...names.map((name) => `${layout.layers(name as RepositoryName)}/sha256/${'0'.repeat(64)}/link`),
      ...tags.map((tag) => `${layout.tagCurrent(tagged, parseTag(tag))}/link`),
    ];
    const lane = async () => {
      for (let path = paths.pop(); path !== undefined; path = paths.pop()) await driver.put(path, link);
    };
    await Promise.all(Array.from({ length: 32 }, lane));
  }, 120_000);

  test('a page of repositories costs in proportion to the page', async () => {
    for (const after of ['team', 'team/app010', 'team/app050-extra', 'team/app060/x']) {
      let page: string[] = [];
      const requests = await requestsOf(async () => {
        page = await take(registry.repositories({ after }), 40);
      });
      expect(page).toEqual(names.filter((name) => name > after).slice(0, 40));
      // Some are looked into ahead.
      expect(requests.length, after).toBeLessThan(40 + 50);
    }
  });

  test('a page of tags costs in proportion to the page, and one request when they were seen before', async () => {
    const list = async () =>
      expect(await take(registry.repository(tagged).tags.list({ after: '1.1' }), 50)).toEqual(
        tags.filter((tag) => tag > '1.1').slice(0, 50),
      );
    expect((await requestsOf(list)).length).toBeLessThan(2 * 50);
    const again = await requestsOf(list);
    expect(again.every((name) => name === 'ListObjectsV2')).toBe(true);
    expect(again.length).toBeLessThanOrEqual(4);
  });

  test('few tags, or repositories, cost few requests', async () => {
    const other = createStorageRegistry({ driver: newDriver() });
    const first = (count: number) =>
      requestsOf(async () => {
        const page = await take(other.repository(tagged).tags.list({ limit: count + 1 }), count + 1);
        expect(page).toEqual(tags.slice(0, count + 1));
      });
    // The listing, a question whether there is a tag `1`, and a link for each tag and the one behind.
    expect(await first(1)).toHaveLength(4);
    expect((await first(5)).length).toBeLessThanOrEqual(8);
    const repositories = await requestsOf(() => take(other.repositories({ after: 'team/app010' }), 2));
    expect(repositories.length).toBeLessThan(12);
  });

  test('names of many dashes cost no more, with or without folders of the names that they begin with', async () => {
    const link = Buffer.from(`sha256:${'0'.repeat(64)}`);
    const dashes = (count: number) => `b${'-b'.repeat(count)}`;
    const name = parseRepositoryName('dashed/app');
    const dashed = Array.from({ length: 30 }, (_, index) => parseTag(`${dashes(55)}-${index + 100}`));
    const below = [`dashed/${dashes(40)}/x`, `dashed/b/x`].map(parseRepositoryName);
    for (const tag of dashed) await driver.put(`${layout.tagCurrent(name, tag)}/link`, link);
    for (const each of [name, ...below]) {
      await driver.put(`${layout.layers(each)}/sha256/${'0'.repeat(64)}/link`, link);
    }
    for (const [limit, after] of [
      [1, undefined],
      [5, dashed[3]],
    ] as const) {
      const options = { limit: limit + 1, ...(after !== undefined && { after }) };
      const requests = await requestsOf(async () => {
        const page = await take(registry.repository(name).tags.list(options), limit + 1);
        expect(page).toEqual(dashed.filter((tag) => after === undefined || tag > after).slice(0, limit + 1));
      });
      expect(requests.length).toBeLessThanOrEqual(limit + 3);
    }
    for (const after of [dashes(120), `dashed/${dashes(60)}`]) {
      const requests = await requestsOf(async () => {
        const page = await take(registry.repositories({ after }), 2);
        expect(page).toEqual(after === dashes(120) ? ['dashed/app', ...below].slice(0, 2) : below);
      });
      expect(requests.length, after).toBeLessThan(20);
    }
  });

  test('referrers, however many manifests there are that have none', async () => {
    const repository = freshRepository();
    const digest = await pushImage(repository, pushAtOnce);
    await take(repository.referrers.list(digest, []), 1);
    expect(await requestsOf(() => take(repository.referrers.list(digest, []), 1))).toHaveLength(5);
  });
});
