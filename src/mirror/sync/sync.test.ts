import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { createInMemoryDriver } from '../../../storage-drivers/inmemory/driver.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import { parseRepositoryName, type RepositoryName } from '../../oci/name.ts';
import type { Registry } from '../../registry/registry.ts';
import { createStorageRegistry } from '../../registry/storage-registry.ts';
import { Downloads } from '../downloads/downloads.ts';
import type { Mark } from '../marks.ts';
import { createMirror } from '../mirror.ts';
import { Names } from '../naming.ts';
import { clientOf, type LyingUpstream, startLyingUpstream } from '../upstream/testing/lying-upstream.ts';
import type { Upstream } from '../upstream.ts';
import { parseImageList } from './image-list.ts';
import { type SyncedImage, type SyncOptions, type SyncProgress, syncImages } from './sync.ts';

/** A registry with whatever a test puts into it. */
class Origin {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, Buffer>();
  readonly referrers = new Map<string, object[]>();
  #server: LyingUpstream | undefined;

  async start(): Promise<void> {
    this.#server = await startLyingUpstream((request, response, url) => {
      const [, name = '', kind = '', reference = ''] =
        /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/(.+)$/.exec(url.pathname) ?? [];
      const json = (value: unknown) => Buffer.from(JSON.stringify(value));
      const tags = [...this.manifests.keys()].filter((key) => key.startsWith(`${name}:`) && !key.includes('sha256:'));
      const content =
        kind === 'manifests'
          ? (this.manifests.get(`${name}:${reference}`) ?? this.manifests.get(reference))
          : kind === 'blobs'
            ? this.blobs.get(reference)
            : kind === 'tags'
              ? json({ name, tags: tags.map((key) => key.slice(name.length + 1)) })
              : json({ schemaVersion: 2, mediaType: index, manifests: this.referrers.get(reference) ?? [] });
      if (content === undefined) return void response.writeHead(404).end();
      const type =
        kind === 'manifests' ? JSON.parse(content.toString()).mediaType : kind === 'blobs' ? 'application/x' : index;
      const headers = { 'content-type': type, 'content-length': content.length };
      response.writeHead(
        200,
        kind === 'manifests' ? { ...headers, 'docker-content-digest': digestOf(content) } : headers,
      );
      response.end(request.method === 'HEAD' ? undefined : content);
    });
  }

  get server(): LyingUpstream {
    if (this.#server === undefined) throw new Error('not started');
    return this.#server;
  }

  blob(text: string, mediaType = 'application/x') {
    const content = Buffer.from(text);
    this.blobs.set(digestOf(content), content);
    return { mediaType, digest: digestOf(content), size: content.length };
  }

  manifest(fields: object, tag?: string) {
    const content = Buffer.from(JSON.stringify({ schemaVersion: 2, ...fields }));
    const { mediaType } = JSON.parse(content.toString()) as { mediaType: string };
    this.manifests.set(digestOf(content), content);
    if (tag !== undefined) this.manifests.set(tag, content);
    return { mediaType, digest: digestOf(content), size: content.length };
  }

  image(tag: string | undefined, layers: readonly string[], more: object = {}) {
    const parts = { config: this.blob(`config of ${layers}`), layers: layers.map((layer) => this.blob(layer)) };
    return this.manifest({ mediaType: mediaTypes.ociManifest, ...parts, ...more }, tag);
  }

  /** Blobs that were asked for, by what is in them. */
  served(): string[] {
    const asked = this.server.requests.flatMap(({ method, target }) => {
      const digest = /\/blobs\/(.+)$/.exec(target)?.[1];
      return method === 'GET' && digest !== undefined ? [digest] : [];
    });
    return asked.map((digest) => this.blobs.get(digest)?.toString() ?? digest).sort();
  }
}

const index = mediaTypes.ociIndex;
let origin: Origin;
let folder: string;
let driver: StorageDriver;
let downloads: Downloads;
let upstream: Upstream;
let mirror: Registry;
let store: Registry;

beforeEach(async () => {
  origin = new Origin();
  await origin.start();
  folder = await mkdtemp(join(tmpdir(), 'berth-sync-'));
  driver = createInMemoryDriver();
  const validation = { references: false, platforms: 'none', urls: { allow: [], deny: [] } } as const;
  store = createStorageRegistry({ driver, validation });
  const naming = { name: 'quay.io', aliases: [], prefix: 'quay', isDefault: true };
  upstream = {
    ...naming,
    client: clientOf([origin.server]),
    admits: () => true,
    revalidate: 0,
    maxStale: 1e9,
    patience: 1e9,
  };
  marks = new Map();
  claimed = new Set();
  brought = new Set();
  startMirror();
});

/** What the storage has of marks. */
let marks: Map<string, Mark>;
let claimed: Set<RepositoryName>;
let brought: Set<string>;

/** A process before the storage. */
function startMirror(): void {
  downloads = new Downloads({ folder: join(folder, 'incoming'), max: 10, onEnd: () => {} });
  mirror = createMirror({
    hosted: createStorageRegistry({ driver }),
    store,
    upstreams: [upstream],
    downloads,
    marks: {
      get: async (name, tag) => marks.get(`${name}:${tag}`),
      put: async (name, tag, mark) => void marks.set(`${name}:${tag}`, mark),
      isClaimed: async (name) => claimed.has(name),
      claim: async (name) => void claimed.add(name),
      withdraw: async (name) => void claimed.delete(name),
      isBrought: async (digest) => brought.has(digest),
      bring: async (digest) => void brought.add(digest),
    },
    onEvent: () => {},
    onFault: () => {},
  });
}

afterEach(async () => {
  await downloads.close();
  await upstream.client.close();
  await origin.server.close();
  await rm(folder, { recursive: true, force: true });
});

async function sync(list: string, options: Partial<SyncOptions> = {}) {
  const images: SyncedImage[] = [];
  const report = await syncImages({
    registry: mirror,
    store,
    settled: (digest) => downloads.settled(digest),
    images: parseImageList(list, 'list', new Names([upstream])),
    jobs: 4,
    referrers: false,
    dryRun: false,
    signal: new AbortController().signal,
    onImage: (image) => images.push(image),
    ...options,
  });
  return { report, images };
}

/** What is kept, asked with the upstream gone. */
async function keeps(name: string, digest: Digest): Promise<boolean> {
  const repository = store.repository(parseRepositoryName(name));
  return repository.manifests.get(digest).then(
    () => true,
    () => false,
  );
}

describe('images that are fetched ahead', () => {
  it('are there with all that they consist of, and no blob comes twice', async () => {
    const one = origin.image('team/one:1', ['base', 'one']);
    origin.image('team/two:1', ['base', 'two']);
    const { report, images } = await sync('team/one:1\nteam/two:1\nquay.io/team/one:1');
    expect(images.map(({ name, error }) => [name, error])).toEqual(
      expect.arrayContaining([
        ['quay/team/one:1', undefined],
        ['quay/team/two:1', undefined],
      ]),
    );
    expect(report).toMatchObject({ images: 3, failed: 0 });
    expect(origin.served()).toEqual(['base', 'config of base,one', 'config of base,two', 'one', 'two']);
    expect(await keeps('quay/team/one', one.digest)).toBe(true);
  });

  it('cost nothing when they are there, and only what is missing when something is', async () => {
    origin.image('team/one:1', ['base', 'one']);
    await sync('team/one:1');
    const before = origin.served().length;
    const again = await sync('team/one:1');
    expect(again.report).toMatchObject({ fetched: { count: 0 }, kept: { count: 3 }, failed: 0 });
    expect(origin.served()).toHaveLength(before);
    origin.image('team/one:1', ['base', 'one', 'more']);
    const more = await sync('team/one:1');
    expect(more.report.fetched.count).toBe(2);
    expect(origin.served().slice().sort()).toEqual(
      ['base', 'one', 'more', 'config of base,one', 'config of base,one,more'].sort(),
    );
  });

  it('are of the platforms that were chosen', async () => {
    const platform = (text: string) => {
      const [os, architecture] = text.split('/');
      return { platform: { os, architecture } };
    };
    const amd = origin.image(undefined, ['amd64']);
    const arm = origin.image(undefined, ['arm64']);
    const manifests = [
      { ...amd, ...platform('linux/amd64') },
      { ...arm, ...platform('linux/arm64') },
    ];
    const list = origin.manifest({ mediaType: index, manifests }, 'team/app:1');
    const { images } = await sync('team/app:1 linux/arm64,linux/s390x');
    expect(images[0]?.remarks).toEqual(['there is none for linux/s390x']);
    expect(images[0]?.error).toBeUndefined();
    expect(origin.served()).toEqual(['arm64', 'config of arm64']);
    expect(await keeps('quay/team/app', list.digest)).toBe(true);
    expect(await keeps('quay/team/app', amd.digest)).toBe(false);
    const none = await sync('team/app:1 windows/amd64');
    expect(none.images[0]?.error).toMatchObject({ message: 'there is none for windows/amd64' });
    await sync('team/app:1');
    expect(await keeps('quay/team/app', amd.digest)).toBe(true);
  });

  it('may be named by a pattern of tags', async () => {
    for (const tag of ['1.0', '1.1', '2.0']) origin.image(`team/app:${tag}`, [tag]);
    const { images } = await sync('team/app:1.*\nteam/app:9*');
    expect(images.map(({ name }) => name).sort()).toEqual(['quay/team/app', 'quay/team/app:1.0', 'quay/team/app:1.1']);
    expect(images.find(({ error }) => error !== undefined)?.error).toMatchObject({ message: 'no tag is like that' });
  });

  it('that fail do not keep the others from coming', async () => {
    const broken = origin.image('team/broken:1', ['lost', 'found']);
    origin.blobs.delete(digestOf(Buffer.from('lost')));
    origin.image('team/good:1', ['good']);
    const { report, images } = await sync('team/missing:1\nteam/broken:1\nteam/good:1');
    expect(report).toMatchObject({ images: 3, failed: 2 });
    expect(images.filter(({ error }) => error === undefined).map(({ name }) => name)).toEqual(['quay/team/good:1']);
    expect(origin.served()).toEqual(expect.arrayContaining(['found', 'good']));
    expect(await keeps('quay/team/broken', broken.digest)).toBe(true);
  });

  it('bring their signatures where that is wanted, wherever those are', async () => {
    const image = origin.image('team/app:1', ['app']);
    const referrer = origin.image(undefined, ['signature'], { subject: image });
    origin.referrers.set(image.digest, [referrer]);
    origin.image(`team/app:${image.digest.replace(':', '-')}.sig`, ['signature of cosign']);
    await sync('team/app:1');
    expect(origin.served()).toEqual(['app', 'config of app']);
    const { report } = await sync('team/app:1', { referrers: true });
    expect(report.failed).toBe(0);
    expect(origin.served()).toEqual(expect.arrayContaining(['signature', 'signature of cosign']));
    expect(await keeps('quay/team/app', referrer.digest)).toBe(true);
  });

  it('leave out layers that are not for distribution', async () => {
    const foreign = {
      ...origin.blob('windows'),
      mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    };
    origin.manifest(
      { mediaType: mediaTypes.dockerManifest, config: origin.blob('config'), layers: [foreign] },
      'team/app:1',
    );
    expect((await sync('team/app:1')).report).toMatchObject({ failed: 0, fetched: { count: 1 } });
    expect(origin.served()).toEqual(['config']);
  });

  it('whose upstream is gone have failed, though they are served', async () => {
    origin.image('team/app:1', ['app']);
    await sync('team/app:1');
    await origin.server.close();
    const { report, images } = await sync('team/app:1');
    expect(report).toMatchObject({ failed: 1, kept: { count: 2 } });
    expect(images[0]?.error).toMatchObject({ message: expect.stringContaining('quay.io could not be asked') });
  });
});

it('many at a time are no reason for a warning', async () => {
  const warnings: Error[] = [];
  const listen = (warning: Error) => void warnings.push(warning);
  process.on('warning', listen);
  for (let tag = 0; tag < 30; tag += 1) origin.image(`team/app:${tag}`, [`a ${tag}`, `b ${tag}`]);
  expect((await sync('team/app:*', { jobs: 30 })).report).toMatchObject({ images: 30, failed: 0 });
  await new Promise(setImmediate);
  process.off('warning', listen);
  expect(warnings).toEqual([]);
});

it('a dry run says what would come, and stores nothing', async () => {
  const one = origin.image('team/one:1', ['base', 'one']);
  origin.image('team/two:1', ['base', 'two']);
  const { report } = await sync('team/one:1\nteam/two:1', { dryRun: true });
  const bytes = ['base', 'config of base,one', 'config of base,two', 'one', 'two'].join('').length;
  expect(report.fetched).toEqual({ count: 5, bytes });
  expect(origin.served()).toEqual([]);
  expect(await keeps('quay/team/one', one.digest)).toBe(false);
  await sync('team/one:1');
  expect((await sync('team/one:1', { dryRun: true })).report).toMatchObject({
    fetched: { count: 0 },
    kept: { count: 3 },
  });
});

it('progress ends where everything is there', async () => {
  origin.image('team/one:1', ['base', 'one']);
  origin.image('team/one:2', ['base', 'two']);
  let last: SyncProgress | undefined;
  const { report } = await sync('team/one:*', {
    onProgress(progress) {
      expect(progress.bytes.done).toBeLessThanOrEqual(progress.bytes.total);
      last = structuredClone(progress);
    },
  });
  const { bytes } = report.fetched;
  expect(last).toEqual({ images: { done: 2, total: 2 }, bytes: { done: bytes, total: bytes } });
});

it('who ends it waits for nothing, and the next run goes on', async () => {
  origin.image('team/one:1', ['slow', 'fast']);
  const { handler } = origin.server;
  const slow = digestOf(Buffer.from('slow'));
  const stopping = new AbortController();
  origin.server.handler = (request, response, url) => {
    if (!url.pathname.endsWith(slow)) return handler(request, response, url);
    // It sends half of it, and then nothing.
    response.writeHead(200, { 'content-length': 4 }).write('sl', () => setTimeout(() => stopping.abort(), 50));
  };
  const { report, images } = await sync('team/one:1\nteam/never:1', { jobs: 1, signal: stopping.signal });
  expect(images).toEqual([]);
  expect(report.images).toBe(0);
  expect(origin.server.requests.some(({ target }) => target.includes('never'))).toBe(false);
  origin.server.handler = handler;
  await downloads.close();
  startMirror();
  const again = await sync('team/one:1');
  expect(again.images.map(({ error }) => error)).toEqual([undefined]);
});
