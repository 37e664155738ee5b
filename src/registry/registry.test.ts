import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createFilesystemDriver } from '../../storage-drivers/filesystem/driver.ts';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { withFaults } from '../../storage-drivers/wrappers/faults.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-type.ts';
import { parseRepositoryName, parseTag, type RepositoryName } from '../oci/name.ts';
import { layout } from './layout.ts';
import { purgeUploads } from './purge-uploads.ts';
import type { Body, Repository } from './registry.ts';
import { walkRepositories } from './repositories.ts';
import { restrict } from './restrict.ts';
import { createStorageRegistry, type StorageRegistryOptions } from './storage-registry.ts';

const name = parseRepositoryName('user/app');
const other = parseRepositoryName('user/other');
const latest = parseTag('latest');
const everything = () => true;

function setUp(options: Partial<StorageRegistryOptions> = {}) {
  const driver = options.driver ?? createInMemoryDriver();
  const registry = createStorageRegistry({ ...options, driver });
  return { driver, registry, repository: registry.repository(name) };
}

async function* bodyOf(...chunks: (string | Uint8Array)[]): Body {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function* broken(...chunks: string[]): Body {
  yield* bodyOf(...chunks);
  throw new Error('the client went away');
}

async function pushBlob(repository: Repository, content: string | Uint8Array): Promise<Digest> {
  const digest = digestOf(Buffer.from(content));
  const upload = await repository.uploads.create();
  await upload.commit(digest, bodyOf(content));
  return digest;
}

function descriptor(content: string, mediaType = 'application/octet-stream') {
  return { mediaType, digest: digestOf(Buffer.from(content)), size: content.length };
}

function image(config = 'config', extra: object = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: descriptor(config, 'application/vnd.oci.image.config.v1+json'),
      layers: [],
      ...extra,
    }),
  );
}

async function pushImage(repository: Repository, tag = latest, extra: object = {}): Promise<Digest> {
  await pushBlob(repository, 'config');
  const { descriptor } = await repository.manifests.put(tag, image('config', extra), { mediaType: undefined });
  return descriptor.digest;
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

async function read(repository: Repository, digest: Digest, range?: { start: number; end: number }): Promise<Buffer> {
  const blob = await repository.blobs.get(digest);
  const chunks: Buffer[] = [];
  for await (const chunk of await blob.open(range)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

describe('uploads', () => {
  it('publish a small blob that comes whole', async () => {
    const { repository } = setUp();
    const digest = await pushBlob(repository, 'hello');
    expect(await repository.blobs.stat(digest)).toMatchObject({ digest, size: 5 });
    expect((await read(repository, digest)).toString()).toBe('hello');
  });

  it('publish a large blob that comes in pieces', async () => {
    const { repository } = setUp();
    const piece = Buffer.alloc(100_000, 7);
    const digest = digestOf(Buffer.concat([piece, piece, piece]));
    const upload = await repository.uploads.create();
    expect(await upload.append(bodyOf(piece))).toBe(100_000);
    expect(await upload.append(bodyOf(piece), 100_000)).toBe(200_000);
    await upload.commit(digest, bodyOf(piece), 200_000);
    expect(digestOf(await read(repository, digest))).toBe(digest);
    expect(await read(repository, digest, { start: 99_999, end: 100_001 })).toEqual(Buffer.alloc(3, 7));
  });

  describe('of bytes that the storage has as an object', () => {
    const content = Buffer.alloc(100_000, 3);
    const digest = digestOf(content);
    const object = { path: '/_berth/incoming/one', size: content.length };
    const never: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => {
        throw new Error('it was read');
      },
    };

    it('move it to its place', async () => {
      const { driver, repository } = setUp();
      await driver.put(object.path, content);
      const descriptor = await repository.uploads.put(digest, { ...never, object });
      expect(descriptor).toMatchObject({ digest, size: content.length });
      expect(await read(repository, digest)).toEqual(content);
      await expect(driver.stat(object.path)).rejects.toThrow();
    });

    it('read them when it is not there any more', async () => {
      const { repository } = setUp();
      await repository.uploads.put(digest, Object.assign(bodyOf(content), { object }));
      expect(await read(repository, digest)).toEqual(content);
    });

    it('read them where the storage moves nothing', async () => {
      const { move: _, ...driver } = createInMemoryDriver();
      const { repository } = setUp({ driver });
      await repository.uploads.put(digest, Object.assign(bodyOf(content), { object }));
      expect(await read(repository, digest)).toEqual(content);
    });
  });

  it.each(['sha256', 'sha512'] as const)('go on with %s in another process', async (algorithm) => {
    const { driver, repository } = setUp();
    const piece = Buffer.alloc(70_000, 1);
    const digest = digestOf(Buffer.concat([piece, piece]), algorithm);
    const { id } = await repository.uploads.create();
    await repository.uploads.find(id).append(bodyOf(piece));

    const elsewhere = createStorageRegistry({ driver }).repository(name);
    const upload = elsewhere.uploads.find(id);
    expect(await upload.size()).toBe(70_000);
    await upload.commit(digest, bodyOf(piece));
    expect(digestOf(await read(repository, digest), algorithm)).toBe(digest);
  });

  it('do not trust a hash when another process has added bytes', async () => {
    const { driver, repository } = setUp();
    const { id } = await repository.uploads.create();
    const upload = repository.uploads.find(id);
    await upload.append(bodyOf('one'));
    await createStorageRegistry({ driver }).repository(name).uploads.find(id).append(bodyOf('two'));
    await upload.append(bodyOf('three'));
    const digest = digestOf(Buffer.from('onetwothree'));
    await upload.commit(digest);
    expect((await read(repository, digest)).toString()).toBe('onetwothree');
  });

  it('keep what came before a client went away', async () => {
    const { repository } = setUp();
    const upload = await repository.uploads.create();
    await expect(upload.append(broken('abc'))).rejects.toThrow('went away');
    expect(await upload.size()).toBe(3);
    await upload.commit(digestOf(Buffer.from('abcdef')), bodyOf('def'), 3);
  });

  it('refuse a chunk that does not fit, and stay usable', async () => {
    const { repository } = setUp();
    const upload = await repository.uploads.create();
    await upload.append(bodyOf('abc'), 0);
    for (const start of [0, 2, 4]) {
      await expect(upload.append(bodyOf('x'), start)).rejects.toMatchObject({ code: 'UPLOAD_OUT_OF_ORDER' });
    }
    const digest = digestOf(Buffer.from('abcd'));
    await expect(upload.commit(digest, bodyOf('d'), 7)).rejects.toMatchObject({ code: 'UPLOAD_OUT_OF_ORDER' });
    await upload.commit(digest, bodyOf('d'), 3);
  });

  it('are over when the server dies right behind the commit', async () => {
    const { driver, repository } = setUp();
    const content = 'x'.repeat(100_000);
    const digest = digestOf(Buffer.from(content));
    const upload = await repository.uploads.create();
    await upload.append(bodyOf(content));
    const started = await driver.get(layout.uploadStartedAt(name, upload.id));
    await upload.commit(digest);
    await driver.put(layout.uploadStartedAt(name, upload.id), started);
    expect(await repository.blobs.stat(digest)).toMatchObject({ size: content.length });
    await expect(repository.uploads.find(upload.id).size()).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  });

  it('answer a repeated commit that waited for the first one with unknown, not with a wrong digest', async () => {
    const { driver, hold } = withFaults(createInMemoryDriver());
    const { repository } = setUp({ driver });
    const content = 'x'.repeat(100_000);
    const digest = digestOf(Buffer.from(content));
    const upload = await repository.uploads.create();
    await upload.append(bodyOf(content));
    const { reached, release } = hold({ operation: 'commit' });
    const first = upload.commit(digest);
    await reached;
    const second = repository.uploads.find(upload.id).commit(digest);
    release();
    expect(await first).toMatchObject({ size: content.length });
    await expect(second).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  });

  it('let a commit wait for the bytes that are still coming', async () => {
    const { repository } = setUp();
    let goOn = () => {};
    const gate = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    async function* slow(): Body {
      yield Buffer.from('abc');
      await gate;
      yield Buffer.from('def');
    }
    const upload = await repository.uploads.create();
    const appending = upload.append(slow());
    const digest = digestOf(Buffer.from('abcdef'));
    const committing = repository.uploads.find(upload.id).commit(digest);
    goOn();
    expect(await appending).toBe(6);
    expect(await committing).toMatchObject({ digest, size: 6 });
  });

  it('are whole when the server dies in the middle of the commit', async () => {
    const { driver, fail, clear } = withFaults(createInMemoryDriver());
    const { repository } = setUp({ driver });
    const content = 'x'.repeat(100_000);
    const digest = digestOf(Buffer.from(content));
    const upload = await repository.uploads.create();
    await upload.append(bodyOf(content));
    fail({ operation: 'put', path: /_layers/ });
    await expect(upload.commit(digest)).rejects.toThrow('injected');
    await expect(repository.blobs.stat(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    clear();
    const again = createStorageRegistry({ driver }).repository(name).uploads.find(upload.id);
    expect(await again.size()).toBe(content.length);
    await again.commit(digest);
    expect(await repository.blobs.stat(digest)).toMatchObject({ size: content.length });
  });

  it('stay when the storage is full, and go on when it no longer is', async () => {
    const { driver, cutWrites, clear } = withFaults(createInMemoryDriver());
    const { repository } = setUp({ driver });
    const upload = await repository.uploads.create();
    cutWrites(/_uploads/, 0);
    await expect(upload.append(bodyOf('abc'))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    clear();
    const digest = digestOf(Buffer.from('abc'));
    expect(await upload.append(bodyOf('abc'), 0)).toBe(3);
    await upload.commit(digest);
    expect(await repository.blobs.stat(digest)).toMatchObject({ size: 3 });
  });

  it.each([['small'], ['x'.repeat(200_000)]])('drop a session whose content has another digest', async (content) => {
    const { repository } = setUp();
    const upload = await repository.uploads.create();
    const wrong = digestOf(Buffer.from('something else'));
    await expect(upload.commit(wrong, bodyOf(content))).rejects.toMatchObject({ code: 'DIGEST_INVALID' });
    await expect(repository.uploads.find(upload.id).size()).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
    await expect(repository.blobs.stat(wrong)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  });

  it('are their repository’s own, end with the commit, and can be cancelled', async () => {
    const { registry, repository } = setUp();
    const upload = await repository.uploads.create();
    await expect(registry.repository(other).uploads.find(upload.id).size()).rejects.toMatchObject({
      code: 'BLOB_UPLOAD_UNKNOWN',
    });
    await upload.commit(digestOf(Buffer.from('')));
    await expect(repository.uploads.find(upload.id).size()).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
    const second = await repository.uploads.create();
    await second.append(bodyOf('x'));
    await second.cancel();
    await expect(repository.uploads.find(second.id).size()).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  });

  it.each(['..', '.', 'a/b', ''])('are not found under the id %j', async (id) => {
    await expect(setUp().repository.uploads.find(id).size()).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
  });
});

describe('blobs', () => {
  it('belong to the repositories that have them', async () => {
    const { registry, repository } = setUp();
    const digest = await pushBlob(repository, 'x');
    await expect(registry.repository(other).blobs.get(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  });

  it('are mounted from a repository that the caller may read', async () => {
    const { registry, repository } = setUp();
    const digest = await pushBlob(repository, 'x');
    const { blobs } = registry.repository(other);
    expect(await blobs.mount(digest, name, () => false)).toBeUndefined();
    expect(await blobs.mount(digest, undefined, () => false)).toBeUndefined();
    expect(await blobs.mount(digestOf(Buffer.from('y')), undefined, everything)).toBeUndefined();
    expect(await blobs.mount(digest, undefined, everything)).toMatchObject({ digest, size: 1 });
    expect(await blobs.stat(digest)).toMatchObject({ size: 1 });
  });

  it('are deleted from one repository only', async () => {
    const { registry, repository } = setUp();
    const digest = await pushBlob(repository, 'x');
    await registry.repository(other).blobs.mount(digest, name, everything);
    await repository.blobs.delete(digest);
    await expect(repository.blobs.delete(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    expect(await registry.repository(other).blobs.stat(digest)).toMatchObject({ size: 1 });
  });

  it('are said to exist only while their bytes do', async () => {
    const { driver, repository } = setUp();
    const digest = await pushBlob(repository, 'x');
    await driver.delete(layout.blobData(digest));
    const later = createStorageRegistry({ driver }).repository(name);
    await expect(later.blobs.stat(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  });

  it('that are gone are not remembered by HEAD, and then by nobody', async () => {
    let time = Date.now();
    vi.spyOn(performance, 'now').mockImplementation(() => time);
    onTestFinished(() => void vi.restoreAllMocks());
    const { driver, repository } = setUp();
    const digest = await pushBlob(repository, 'x');
    expect((await read(repository, digest)).toString()).toBe('x');
    await driver.delete(layout.blobData(digest));
    time += 3_600_000;
    await expect(repository.blobs.stat(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    await expect(repository.blobs.get(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  });

  it('are found through a link to another digest, as distribution keeps sha512', async () => {
    const { driver, repository } = setUp();
    const target = await pushBlob(repository, 'x');
    const alias = digestOf(Buffer.from('x'), 'sha512');
    await driver.put(`${layout.layer(name, alias)}/link`, Buffer.from(target));
    expect(await repository.blobs.stat(alias)).toMatchObject({ digest: alias, size: 1 });
    expect((await read(repository, alias)).toString()).toBe('x');
  });

  it.each([
    ['nothing in it', Buffer.alloc(0)],
    ['half a digest', 'sha256:'],
    ['garbage', 'garbage'],
    ['a megabyte', Buffer.alloc(1024 * 1024, `sha256:${'0'.repeat(64)}`)],
    ['a digest and a megabyte', `${digestOf(Buffer.from('x'))}${' '.repeat(1024 * 1024)}`],
  ])('with a link that has %s do not exist', async (_, link) => {
    const { driver, repository } = setUp();
    const digest = await pushBlob(repository, 'x');
    await driver.put(`${layout.layer(name, digest)}/link`, Buffer.from(link));
    await expect(repository.blobs.get(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
  });
});

describe('manifests', () => {
  it('are found by tag and by digest, byte for byte', async () => {
    const { repository } = setUp();
    const digest = await pushImage(repository);
    for (const reference of [latest, digest]) {
      const manifest = await repository.manifests.get(reference);
      expect(manifest.content).toEqual(image());
      expect(manifest.descriptor).toEqual({ mediaType: mediaTypes.ociManifest, digest, size: image().length });
    }
  });

  it('name every part that is missing', async () => {
    const { repository } = setUp();
    const layers = [descriptor('one'), descriptor('two')];
    const put = () => repository.manifests.put(latest, image('config', { layers }), { mediaType: undefined });
    await expect(put()).rejects.toMatchObject({ errors: { length: 3 } });
    await pushBlob(repository, 'config');
    await expect(put()).rejects.toMatchObject({
      errors: [
        { code: 'MANIFEST_BLOB_UNKNOWN', detail: { digest: layers[0]?.digest } },
        { code: 'MANIFEST_BLOB_UNKNOWN', detail: { digest: layers[1]?.digest } },
      ],
    });
    await expect(repository.manifests.get(latest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  });

  it('may name non-distributable layers that are elsewhere, unless their URL is denied', async () => {
    const mediaType = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
    const layers = [{ ...descriptor('far', mediaType), urls: ['https://example.com/far'] }];
    const free = setUp();
    await pushImage(free.repository, latest, { layers });
    const urls = { allow: [/^https:\/\/good\.example\//], deny: [] };
    const strict = setUp({ validation: { references: true, platforms: 'all', urls } });
    await expect(pushImage(strict.repository, latest, { layers })).rejects.toMatchObject({ code: 'MANIFEST_INVALID' });
  });

  it('need their children, as manifests or as blobs, unless these are of an opaque type', async () => {
    const { repository } = setUp();
    const digest = await pushImage(repository);
    const blob = await pushBlob(repository, 'a manifest as a blob');
    const index = (manifests: object[]) =>
      Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
    const child = { mediaType: mediaTypes.ociManifest, digest, size: 1 };
    const present = [child, { ...child, digest: blob }, descriptor('cache', 'application/vnd.buildkit.cacheconfig.v0')];
    await repository.manifests.put(latest, index(present), { mediaType: undefined });
    const missing = { ...child, digest: digestOf(Buffer.from('missing')) };
    await expect(repository.manifests.put(latest, index([missing]), { mediaType: undefined })).rejects.toMatchObject({
      errors: { length: 1 },
    });
  });

  it('must have the digest they are pushed under, in its algorithm', async () => {
    const { repository } = setUp();
    await pushBlob(repository, 'config');
    const sha512 = digestOf(image(), 'sha512');
    await repository.manifests.put(sha512, image(), { mediaType: undefined, tags: [latest] });
    expect((await repository.manifests.get(latest)).descriptor.digest).toBe(sha512);
    const wrong = digestOf(Buffer.from('wrong'));
    await expect(repository.manifests.put(wrong, image(), { mediaType: undefined })).rejects.toMatchObject({
      code: 'DIGEST_INVALID',
    });
  });

  it('take all their tags with them when deleted, and a deleted tag leaves them', async () => {
    const { repository } = setUp();
    const digest = await pushImage(repository);
    const second = parseTag('second');
    await repository.manifests.put(second, image(), { mediaType: undefined });
    await repository.tags.delete(latest);
    await expect(repository.tags.delete(latest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    expect((await repository.manifests.get(digest)).descriptor.digest).toBe(digest);
    await repository.manifests.delete(digest);
    for (const reference of [second, digest]) {
      await expect(repository.manifests.get(reference)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    }
    await expect(repository.manifests.delete(digest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    await repository.manifests.put(latest, image(), { mediaType: undefined });
    expect((await repository.manifests.get(latest)).descriptor.digest).toBe(digest);
  });
});

describe('tags', () => {
  it('that point to nothing, as crashes leave them, are no tags', async () => {
    const { driver, repository } = setUp();
    await pushImage(repository);
    await driver.put(`${layout.tagCurrent(name, parseTag('empty'))}/link`, Buffer.alloc(0));
    await driver.put(`${layout.tagCurrent(name, parseTag('huge'))}/link`, Buffer.alloc(1024 * 1024));
    await driver.put(`${layout.tag(name, parseTag('history'))}/index/sha256/x/link`, Buffer.from('x'));
    expect(await collect(repository.tags.list())).toEqual(['latest']);
  });

  it('are listed in byte order behind a tag that need not exist', async () => {
    const { repository } = setUp();
    for (const tag of ['latest', 'New', '2.0.0', 'new', '_x', 'a-b', 'a.b']) await pushImage(repository, parseTag(tag));
    expect(await collect(repository.tags.list())).toEqual(['2.0.0', 'New', '_x', 'a-b', 'a.b', 'latest', 'new']);
    expect(await collect(repository.tags.list({ after: 'b' }))).toEqual(['latest', 'new']);
    expect(await collect(repository.tags.list({ after: 'new' }))).toEqual([]);
  });

  it('of a repository without content are unknown, and of one without tags none', async () => {
    const { repository } = setUp();
    await expect(collect(repository.tags.list())).rejects.toMatchObject({ code: 'NAME_UNKNOWN' });
    await pushBlob(repository, 'x');
    expect(await collect(repository.tags.list())).toEqual([]);
  });
});

describe('referrers', () => {
  const subjectOf = (digest: Digest) => ({ subject: { mediaType: mediaTypes.ociManifest, digest, size: 1 } });

  it('are found at once, by type, also before their subject is there', async () => {
    const { repository } = setUp();
    const absent = digestOf(Buffer.from('absent'));
    const types = ['application/a', 'application/b'];
    for (const artifactType of types) {
      await pushImage(repository, parseTag(artifactType.slice(-1)), {
        artifactType,
        ...subjectOf(absent),
        annotations: { artifactType },
      });
    }
    const all = await collect(repository.referrers.list(absent, []));
    expect(all.map((found) => found.artifactType).sort()).toEqual(types);
    expect(all.map((found) => found.digest)).toEqual(all.map((found) => found.digest).toSorted());
    const filtered = await collect(repository.referrers.list(absent, ['application/b']));
    expect(filtered).toMatchObject([{ artifactType: 'application/b', annotations: { artifactType: 'application/b' } }]);
    expect(await collect(repository.referrers.list(absent, [], { after: all[0]?.digest ?? '' }))).toEqual(all.slice(1));
  });

  it('go when they are deleted', async () => {
    const { repository } = setUp();
    const subject = await pushImage(repository);
    const referrer = await pushImage(repository, parseTag('signature'), subjectOf(subject));
    expect(await collect(repository.referrers.list(subject, []))).toMatchObject([{ digest: referrer }]);
    await repository.manifests.delete(referrer);
    expect(await collect(repository.referrers.list(subject, []))).toEqual([]);
  });

  it.each([false, true])('are found on a volume that was written by others (read-only: %s)', async (readOnly) => {
    // A storage that dates its folders: only there can a foreign writer be noticed.
    const rootdirectory = await mkdtemp(join(tmpdir(), 'berth-'));
    onTestFinished(() => rm(rootdirectory, { recursive: true }));
    const { driver, repository } = setUp({ driver: createFilesystemDriver({ rootdirectory, maxthreads: 100 }) });
    const subject = await pushImage(repository);
    const referrer = await pushImage(repository, parseTag('signature'), subjectOf(subject));
    await driver.delete(`${layout.repository(name)}/_berth`);
    const fresh = createStorageRegistry({ driver, readOnly }).repository(name);
    expect(await collect(fresh.referrers.list(subject, []))).toMatchObject([{ digest: referrer }]);
    expect(await collect(fresh.referrers.list(subject, []))).toMatchObject([{ digest: referrer }]);

    // And others write again, while we run.
    const late = image('config', { ...subjectOf(subject), annotations: { late: 'yes' } });
    const digest = digestOf(late);
    await driver.put(layout.blobData(digest), late);
    await driver.put(`${layout.revision(name, digest)}/link`, Buffer.from(digest));
    expect((await collect(fresh.referrers.list(subject, []))).map((found) => found.digest)).toEqual(
      [referrer, digest].sort(),
    );
  });

  it('include what clients wrote under the fallback tag', async () => {
    const { repository } = setUp();
    const subject = await pushImage(repository);
    const referrer = await pushImage(repository, parseTag('old'), { annotations: { old: 'yes' } });
    const gone = digestOf(Buffer.from('gone'));
    const manifests = [referrer, gone].map((digest) => ({ mediaType: 'application/x', digest, size: 1 }));
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests }));
    await repository.manifests.put(parseTag(subject.replace(':', '-')), index, { mediaType: undefined });
    expect(await collect(repository.referrers.list(subject, []))).toMatchObject([{ digest: referrer }]);
  });
});

describe('repositories', () => {
  const names = ['a', 'a-b', 'a-b/c', 'a-b.c/d', 'a.b', 'a/b', 'a/b/c', 'a_b', 'ab', 'b/c', 'b0', 'c'];

  async function fill(driver: StorageDriver) {
    for (const each of names) await driver.put(`${layout.repository(each)}/_layers/x`, Buffer.from('x'));
    await driver.put(`${layout.repository('only/uploads')}/_uploads/x/startedat`, Buffer.from('x'));
  }

  it('come in byte order of their full names, from any place on', async () => {
    const driver = createInMemoryDriver();
    await fill(driver);
    const sorted = names.toSorted();
    expect(await collect(walkRepositories(driver))).toEqual(sorted);
    for (const after of [...names, 'a/', 'a-', 'a/b/', 'aa', 'a-b/b', 'a-b.c', 'b', '0', 'zzz', 'a/b/c/d']) {
      expect(await collect(walkRepositories(driver, { after })), after).toEqual(sorted.filter((each) => each > after));
    }
  });
});

describe('restrictions', () => {
  const unsupported = { code: 'UNSUPPORTED' };

  it('stand before everything that deletes', async () => {
    const { registry, repository } = setUp();
    const digest = await pushImage(repository);
    const { blobs, manifests, tags } = restrict(registry, { delete: false, readOnly: false }).repository(name);
    await expect(blobs.delete(digest)).rejects.toMatchObject(unsupported);
    await expect(manifests.delete(digest)).rejects.toMatchObject(unsupported);
    await expect(tags.delete(latest)).rejects.toMatchObject(unsupported);
    expect((await manifests.get(latest)).descriptor.digest).toBe(digest);
  });

  it('stand before everything that writes when read-only, even where deletion is enabled', async () => {
    const { registry, repository } = setUp();
    const digest = await pushImage(repository);
    const restricted = restrict(registry, { delete: true, readOnly: true }).repository(name);
    const attempts = [
      restricted.uploads.create(),
      restricted.uploads.put(digest, bodyOf('x')),
      restricted.blobs.mount(digest, name, everything),
      restricted.manifests.put(latest, image(), { mediaType: undefined }),
      restricted.tags.delete(latest),
      restricted.manifests.delete(digest),
    ];
    for (const attempt of attempts) await expect(attempt).rejects.toMatchObject(unsupported);
    expect(() => restricted.uploads.find('x')).toThrow(expect.objectContaining(unsupported));
    expect((await restricted.manifests.get(latest)).descriptor.digest).toBe(digest);
  });
});

describe('purging uploads', () => {
  const hour = 3_600_000;
  const onFault = (_: string, __: string, error: unknown) => expect.unreachable(String(error));

  it('removes sessions that nothing happened in, and only says so in a dry run', async () => {
    const old = new Date(Date.now() - 200 * hour);
    const { driver, repository, registry } = setUp({ now: () => old });
    const stale = await repository.uploads.create();
    const used = await repository.uploads.create();
    await used.append(bodyOf('still here'));
    await driver.put(`${layout.upload(other as RepositoryName, 'orphan')}/data`, Buffer.from('x'));
    const before = new Date(Date.now() - 168 * hour);

    const planned = await collect(purgeUploads({ driver, before, dryRun: true, onFault }));
    expect(planned.map(({ id }) => id)).toEqual([stale.id]);
    expect(await registry.repository(name).uploads.find(stale.id).size()).toBe(0);
    expect(await collect(purgeUploads({ driver, before, dryRun: false, onFault }))).toEqual(planned);
    await expect(repository.uploads.find(stale.id).size()).rejects.toMatchObject({ code: 'BLOB_UPLOAD_UNKNOWN' });
    expect(await repository.uploads.find(used.id).size()).toBe(10);

    const all = await collect(purgeUploads({ driver, before: new Date(Date.now() + hour), dryRun: false, onFault }));
    expect(all.map(({ id }) => id).sort()).toEqual([used.id, 'orphan'].sort());
  });

  it('asks the storage for the last write only of what is old otherwise, and leaves what was written since', async () => {
    const asked: string[] = [];
    const writes = new Map<string, Date>();
    const driver: StorageDriver = Object.assign(createInMemoryDriver(), {
      async lastWrite(path: string) {
        asked.push(path);
        return writes.get(path);
      },
    });
    let now = new Date('2026-11-01T00:00:00Z');
    const { repository } = setUp({ driver, now: () => now });
    const [running, over] = [await repository.uploads.create(), await repository.uploads.create()];
    now = new Date('2026-11-20T00:00:00Z');
    await repository.uploads.create();
    writes.set(layout.upload(name, running.id), now);
    const before = new Date('2026-11-10T00:00:00Z');
    const purged = await collect(purgeUploads({ driver, before, dryRun: false, onFault }));
    expect(purged.map(({ id }) => id)).toEqual([over.id]);
    expect(asked.sort()).toEqual([running, over].map(({ id }) => layout.upload(name, id)).sort());
  });
});

describe('the layout', () => {
  it('is distribution’s', async () => {
    const { driver, repository } = setUp();
    const digest = await pushImage(repository);
    const hex = createHash('sha256').update(image()).digest('hex');
    const root = '/docker/registry/v2';
    const manifests = `${root}/repositories/user/app/_manifests`;
    expect(await driver.get(`${root}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`)).toEqual(image());
    for (const link of [
      `${manifests}/revisions/sha256/${hex}/link`,
      `${manifests}/tags/latest/current/link`,
      `${manifests}/tags/latest/index/sha256/${hex}/link`,
    ]) {
      expect((await driver.get(link)).toString()).toBe(digest);
    }
  });
});
