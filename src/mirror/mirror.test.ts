import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName, type Tag } from '../oci/name.ts';
import type { Repository } from '../registry/registry.ts';
import { latest, mirrorOver } from './testing/mirror-over.ts';
import { type Image, imageOf, startUpstreamRegistry, type UpstreamRegistry } from './testing/upstream-registry.ts';

const [theirs, ours] = [imageOf('theirs'), imageOf('ours')];
const prefixed = 'docker.io/team/app';

let upstream: UpstreamRegistry;
beforeAll(async () => {
  upstream = await startUpstreamRegistry();
  upstream.push('team/app', theirs, 'latest');
});
beforeEach(() => {
  upstream.instead = () => false;
  upstream.requests.length = 0;
});
afterAll(() => upstream.close());

async function* bodyOf(bytes: Uint8Array) {
  yield bytes;
}

async function push({ uploads, manifests }: Repository, { blobs, manifest }: Image): Promise<void> {
  for (const blob of blobs) await uploads.put(digestOf(blob), bodyOf(blob));
  await manifests.put(latest, manifest, { mediaType: undefined });
}

const digestIn = async ({ manifests }: Repository) => (await manifests.get(latest)).descriptor.digest;

async function tagsIn({ tags }: Repository, after?: string): Promise<Tag[]> {
  const all: Tag[] = [];
  for await (const tag of tags.list(after === undefined ? {} : { after })) all.push(tag);
  return all;
}

describe('under the prefix of an upstream', () => {
  test('what was pushed before stays what it is, and is never mixed with what the upstream has', async () => {
    const driver = createInMemoryDriver();
    const { repository, hosted } = await mirrorOver(driver, [upstream.url]);
    await push(hosted.repository(parseRepositoryName(prefixed)), ours);
    expect(await digestIn(repository(prefixed))).toBe(ours.digest);
    await expect(repository(prefixed).manifests.get(theirs.digest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    expect(await tagsIn(repository(prefixed))).toEqual(['latest']);
    expect(upstream.requests).toEqual([]);
    // It goes on to be pushed to.
    await push(repository(prefixed), imageOf('later'));
  });

  test('what has come from it is told apart, also by a process that comes later', async () => {
    const driver = createInMemoryDriver();
    const first = await mirrorOver(driver, [upstream.url]);
    expect(await digestIn(first.repository(prefixed))).toBe(theirs.digest);
    const next = await mirrorOver(driver, [upstream.url], { mirror: { marks: first.shared } });
    for (const { repository } of [first, next]) {
      await expect(repository(prefixed).uploads.create()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(repository(prefixed).uploads.find('x').size()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    }
    upstream.requests.length = 0;
    expect(await digestIn(next.repository(prefixed))).toBe(theirs.digest);
    expect(upstream.requests).toEqual([]);
  });

  test('nothing can be pushed where there is nothing', async () => {
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    await expect(push(repository('docker.io/team/new'), ours)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('whoever means a registry that is not mirrored neither gets what is kept nor pushes to it', async () => {
    const { registry, repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    expect(await digestIn(repository(prefixed))).toBe(theirs.digest);
    const elsewhere = registry.repository(parseRepositoryName(prefixed), 'registry.example');
    await expect(digestIn(elsewhere)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    await expect(push(elsewhere, ours)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(elsewhere.manifests.put(latest, ours.manifest, { mediaType: undefined })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
    expect(await digestIn(repository(prefixed))).toBe(theirs.digest);
  });

  test('what was pushed before is there for whoever means a registry that is not mirrored', async () => {
    const { registry, hosted } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    await push(hosted.repository(parseRepositoryName(prefixed)), ours);
    const elsewhere = registry.repository(parseRepositoryName(prefixed), 'registry.example');
    expect(await digestIn(elsewhere)).toBe(ours.digest);
    await push(elsewhere, imageOf('later'));
  });
});

describe('a name without a prefix', () => {
  test('is of the default upstream, until it is pushed to', async () => {
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    expect(await digestIn(repository('team/app'))).toBe(theirs.digest);
    await push(repository('team/app'), ours);
    upstream.requests.length = 0;
    expect(await digestIn(repository('team/app'))).toBe(ours.digest);
    expect(upstream.requests).toEqual([]);
  });

  test('is not asked for upstream while it is being pushed to', async () => {
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const { blobs, uploads } = repository('team/app');
    await expect(blobs.stat(digestOf(Buffer.from('theirs')))).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    await uploads.create();
    for (const reference of [latest, theirs.digest]) {
      const found = repository('team/app').manifests.get(reference);
      await expect(found).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    }
    expect(upstream.requests).toEqual([]);
  });

  test.each([503, 429])(
    'is not there for who only asks, as before a push, while the upstream says %i',
    async (status) => {
      const { repository, registry } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
      upstream.instead = (_, response) => {
        response.writeHead(status, { 'Retry-After': '60' }).end();
        return true;
      };
      const { manifests } = repository('team/new');
      await expect(manifests.get(latest, undefined, true)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
      const code = status === 429 ? 'TOOMANYREQUESTS' : 'UNAVAILABLE';
      await expect(manifests.get(latest)).rejects.toMatchObject({ code });
      // Whoever says which registry is meant does not mean to push.
      const named = registry.repository(parseRepositoryName('team/new'), 'docker.io').manifests;
      await expect(named.get(latest, undefined, true)).rejects.toMatchObject({ code });
      await push(repository('team/new'), ours);
      expect(await digestIn(repository('team/new'))).toBe(ours.digest);
    },
  );

  test('with a lone layer that another process has taken is of the upstream, and has that layer', async () => {
    const { repository, hosted } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const layer = Buffer.from('lone layer');
    await hosted.repository(parseRepositoryName('team/app')).uploads.put(digestOf(layer), bodyOf(layer));
    expect(await digestIn(repository('team/app'))).toBe(theirs.digest);
    const get = async () => (await repository('team/app').blobs.get(digestOf(layer))).descriptor.size;
    expect(await get()).toBe(layer.length);
    upstream.instead = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    expect(await get()).toBe(layer.length);
  });
});

test('a repository that is not admitted has nothing, kept or not, and is not asked for', async () => {
  const driver = createInMemoryDriver();
  const settings = { upstream: { admits: (remote: string) => remote !== 'team/app' } };
  const { repository, store } = await mirrorOver(driver, [upstream.url], settings);
  const kept = store.repository(parseRepositoryName('docker.io/other/app'));
  await push(kept, theirs);
  const denied = repository('team/app');
  const [, layer] = theirs.blobs;
  const digest = digestOf(layer ?? Buffer.alloc(0));
  await expect(denied.manifests.get(latest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  await expect(denied.blobs.get(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  await expect(repository(prefixed).blobs.stat(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  await expect(tagsIn(denied)).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
  for await (const _ of denied.referrers.list(theirs.digest, [])) expect.unreachable();
  expect(upstream.requests).toEqual([]);
});

test('nobody mounts what was kept of a repository that is not admitted', async () => {
  const settings = { upstream: { admits: (remote: string) => remote !== 'team/app' } };
  const { repository, store, shared } = await mirrorOver(createInMemoryDriver(), [upstream.url], settings);
  const [denied, admitted] = [parseRepositoryName(prefixed), parseRepositoryName('docker.io/team/other')];
  const digest = digestOf(theirs.blobs[1] ?? Buffer.alloc(0));
  await shared.claim(denied);
  await push(store.repository(denied), theirs);
  const anything = () => true;
  const { blobs } = repository('mine/app');
  for (const from of [denied, undefined]) expect(await blobs.mount(digest, from, anything)).toBeUndefined();
  await shared.claim(admitted);
  await push(store.repository(admitted), theirs);
  for (const from of [admitted, undefined]) {
    expect(await blobs.mount(digest, from, anything)).toMatchObject({ digest });
  }
});

test('offline it serves what is kept, however old, under all its names, and asks nobody', async () => {
  const driver = createInMemoryDriver();
  const online = await mirrorOver(driver, [upstream.url]);
  await digestIn(online.repository('team/app'));
  upstream.requests.length = 0;
  const { repository } = await mirrorOver(driver, [upstream.url], { mirror: { offline: true, marks: claimedAll } });
  for (const name of ['team/app', prefixed]) {
    expect(await repository(name).manifests.get(latest)).not.toHaveProperty('warning');
    expect(await tagsIn(repository(name))).toEqual(['latest']);
  }
  await expect(repository('team/none').manifests.get(latest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  expect(upstream.requests).toEqual([]);
});

const claimedAll = {
  get: async () => undefined,
  put: async () => expect.unreachable(),
  isClaimed: async () => true,
  claim: async () => expect.unreachable(),
  withdraw: async () => expect.unreachable(),
  isBrought: async () => true,
  bring: async () => expect.unreachable(),
};

describe('tags', () => {
  const pages =
    (all: readonly (readonly string[])[], isEndless = false): UpstreamRegistry['instead'] =>
    (_, response, url) => {
      const index = Number(url.searchParams.get('page') ?? 0);
      const link = `</v2/team/app/tags/list?page=${index + 1}>; rel="next"`;
      const more = isEndless || index + 1 < all.length;
      response.writeHead(200, more ? { link } : {});
      response.end(JSON.stringify({ tags: all[index % all.length] }));
      return true;
    };

  test('are given in byte order, in whatever order they come, for one question', async () => {
    upstream.instead = pages([
      ['v10', 'v2', 'V1'],
      ['a', '_x', 'v1'],
    ]);
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    expect(await tagsIn(repository('team/app'))).toEqual(['V1', '_x', 'a', 'v1', 'v10', 'v2']);
    expect(await tagsIn(repository('team/app'), 'a')).toEqual(['v1', 'v10', 'v2']);
    expect(upstream.requests).toHaveLength(2);
  });

  test.each([
    ['without an end', pages([['a']], true)],
    [
      'with ever new tags',
      (_: unknown, response: Parameters<UpstreamRegistry['instead']>[1], url: URL) => {
        const page = Number(url.searchParams.get('page') ?? 0);
        // The whole of it would be more than the pages that are read.
        if (page > 20) return false;
        response.writeHead(200, { link: `</v2/team/app/tags/list?page=${page + 1}>; rel="next"` });
        response.end(JSON.stringify({ tags: Array.from({ length: 100_000 }, (_, index) => `${page}-${index}`) }));
        return true;
      },
    ],
    [
      'that breaks off',
      (_: unknown, response: Parameters<UpstreamRegistry['instead']>[1]) => {
        response.writeHead(503).end();
        return true;
      },
    ],
  ])('of a list %s are those that are kept, or none', async (_, instead) => {
    const { repository, events } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    upstream.instead = instead as UpstreamRegistry['instead'];
    await expect(tagsIn(repository('team/app'))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    upstream.instead = () => false;
    await digestIn(repository('team/app'));
    upstream.instead = instead as UpstreamRegistry['instead'];
    expect(await tagsIn(repository('team/app'))).toEqual(['latest']);
    expect(events.at(-1)).toMatchObject({ outcome: 'stale', kind: 'tags' });
    events.length = 0;
    const warnings: string[] = [];
    const onWarning = (warning: string) => void warnings.push(warning);
    for await (const _ of repository('team/app').tags.list({ onWarning })) break;
    expect([events.length, warnings]).toEqual([1, [expect.stringContaining('docker.io could not be asked')]]);
    // A last page with nothing in it is no better.
    expect(await tagsIn(repository('team/app'), 'zzz')).toEqual([]);
    expect(events).toHaveLength(2);
  });

  test('of what is not there are none', async () => {
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    await expect(tagsIn(repository('team/none'))).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
  });
});
