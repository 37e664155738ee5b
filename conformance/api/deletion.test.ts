import { describe, expect, test } from 'vitest';
import { blob, descriptor, index, unknownDigest } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectError, expectHeaders, expectStatus } from './expectations.ts';
import { pushBlob, pushImage, pushManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

const manifestAt = (method: string, repository: string, reference: string): Promise<Reply> =>
  registry.request(method, `/v2/${repository}/manifests/${reference}`);
const blobAt = (method: string, repository: string, digest: string): Promise<Reply> =>
  registry.request(method, `/v2/${repository}/blobs/${digest}`);

async function expectTags(repository: string, tags: readonly string[]): Promise<void> {
  const reply = await registry.request('GET', `/v2/${repository}/tags/list`);
  expect(reply.json()).toEqual({ name: repository, tags });
}

describe('deleting a blob [OCI end-10]', () => {
  test('is 202, and the blob is gone at once, and a second time it is 404', async () => {
    const repository = registry.repository();
    const { digest } = await pushBlob(registry, repository);
    const reply = await blobAt('DELETE', repository, digest);
    expectStatus(reply, 202);
    expectHeaders(reply, { 'Content-Length': '0' });
    expectError(await blobAt('GET', repository, digest), 404, 'BLOB_UNKNOWN');
    expectError(await blobAt('HEAD', repository, digest), 404);
    expectError(await blobAt('DELETE', repository, digest), 404, 'BLOB_UNKNOWN');
  });

  test('works under sha512', async () => {
    const repository = registry.repository();
    const { digest } = await pushBlob(registry, repository, blob(undefined, undefined, 'sha512'));
    expectStatus(await blobAt('DELETE', repository, digest), 202);
    expectError(await blobAt('HEAD', repository, digest), 404);
  });

  test('can be undone by pushing it again', async () => {
    const repository = registry.repository();
    const content = await pushBlob(registry, repository);
    for (let i = 0; i < 2; i++) {
      expectStatus(await blobAt('DELETE', repository, content.digest), 202);
      await pushBlob(registry, repository, content);
      expect((await blobAt('GET', repository, content.digest)).body).toEqual(content.bytes);
    }
  });

  test('takes it out of this repository only [distribution]', async () => {
    const [here, there] = [registry.repository(), registry.repository()];
    const content = await pushBlob(registry, here);
    await pushBlob(registry, there, content);
    expectStatus(await blobAt('DELETE', here, content.digest), 202);
    expect((await blobAt('GET', there, content.digest)).body).toEqual(content.bytes);
  });

  test('is 404 for one that is not there, in a repository that is not there', async () => {
    expectError(await blobAt('DELETE', registry.repository(), unknownDigest()), 404, 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
  });

  test('is possible though a manifest refers to it [distribution]', async () => {
    const repository = registry.repository();
    const { layer, manifest } = await pushImage(registry, repository, 'latest');
    expectStatus(await blobAt('DELETE', repository, layer.digest), 202);
    expectStatus(await manifestAt('GET', repository, manifest.digest), 200);
  });

  test('does not reach a manifest through …/blobs/ [distribution; zot]', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'latest');
    expectStatus(await blobAt('DELETE', repository, manifest.digest), 404, 405);
    expect((await manifestAt('GET', repository, 'latest')).body).toEqual(manifest.bytes);
  });
});

describe('deleting a manifest by digest [OCI end-9]', () => {
  test('is 202, and it is gone at once with all of its tags, and a second time it is 404', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'a');
    for (const tag of ['b', 'c']) await pushManifest(registry, repository, manifest, tag);
    await pushImage(registry, repository, 'other');
    const reply = await manifestAt('DELETE', repository, manifest.digest);
    expectStatus(reply, 202);
    expectHeaders(reply, { 'Content-Length': '0' });
    for (const reference of ['a', 'b', 'c', manifest.digest]) {
      expectError(await manifestAt('GET', repository, reference), 404, 'MANIFEST_UNKNOWN');
      expectError(await manifestAt('HEAD', repository, reference), 404);
    }
    await expectTags(repository, ['other']);
    expectError(await manifestAt('DELETE', repository, manifest.digest), 404, 'MANIFEST_UNKNOWN');
  });

  test('leaves its blobs [distribution]', async () => {
    const repository = registry.repository();
    const { manifest, layer, config } = await pushImage(registry, repository, 'a');
    expectStatus(await manifestAt('DELETE', repository, manifest.digest), 202);
    for (const { digest } of [layer, config]) expectStatus(await blobAt('HEAD', repository, digest), 200);
  });

  test('can be undone by pushing it again', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'a');
    for (let i = 0; i < 2; i++) {
      expectStatus(await manifestAt('DELETE', repository, manifest.digest), 202);
      await pushManifest(registry, repository, manifest, 'a');
      expect((await manifestAt('GET', repository, 'a')).body).toEqual(manifest.bytes);
    }
  });

  test('leaves a tag that has moved to another one', async () => {
    const repository = registry.repository();
    const { manifest: old } = await pushImage(registry, repository, 'moving');
    const { manifest: current } = await pushImage(registry, repository, 'moving');
    expectStatus(await manifestAt('DELETE', repository, old.digest), 202);
    expect((await manifestAt('GET', repository, 'moving')).body).toEqual(current.bytes);
  });

  test('leaves the one of another repository', async () => {
    const [here, there] = [registry.repository(), registry.repository()];
    for (const repository of [here, there]) await pushManifest(registry, repository, index([]), 'same');
    expectStatus(await manifestAt('DELETE', here, index([]).digest), 202);
    expectStatus(await manifestAt('GET', there, 'same'), 200);
  });

  test('of an index leaves its children [distribution]', async () => {
    const repository = registry.repository();
    const { manifest: child } = await pushImage(registry, repository);
    const parent = await pushManifest(registry, repository, index([descriptor(child)]), 'index');
    expectStatus(await manifestAt('DELETE', repository, parent.digest), 202);
    expectStatus(await manifestAt('GET', repository, child.digest), 200);
  });

  test('of a child of an index is possible [distribution]', async () => {
    const repository = registry.repository();
    const { manifest: child } = await pushImage(registry, repository);
    await pushManifest(registry, repository, index([descriptor(child)]), 'index');
    expectStatus(await manifestAt('DELETE', repository, child.digest), 202);
    expectStatus(await manifestAt('GET', repository, child.digest), 404);
    expectStatus(await manifestAt('GET', repository, 'index'), 200);
  });

  test('works under sha512', async () => {
    const repository = registry.repository();
    const { digest } = await pushManifest(registry, repository, index([], {}, 'sha512'));
    expectStatus(await manifestAt('DELETE', repository, digest), 202);
    expectStatus(await manifestAt('GET', repository, digest), 404);
  });

  test('is 404 for one that is not there, in a repository that is not there', async () => {
    for (const repository of [registry.repository(), await repositoryWithImage()]) {
      expectError(await manifestAt('DELETE', repository, unknownDigest()), 404, 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN');
    }
  });
});

describe('deleting a tag [OCI end-9]', () => {
  test('is 202, and the manifest and its other tags stay', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'a');
    await pushManifest(registry, repository, manifest, 'b');
    const reply = await manifestAt('DELETE', repository, 'a');
    expectStatus(reply, 202);
    expectHeaders(reply, { 'Content-Length': '0' });
    expectError(await manifestAt('GET', repository, 'a'), 404, 'MANIFEST_UNKNOWN');
    for (const reference of ['b', manifest.digest]) expectStatus(await manifestAt('GET', repository, reference), 200);
    await expectTags(repository, ['b']);
  });

  test('even the last one leaves the manifest, and it can get another one [zot]', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'only');
    expectStatus(await manifestAt('DELETE', repository, 'only'), 202);
    expectStatus(await manifestAt('GET', repository, manifest.digest), 200);
    await expectTags(repository, []);
    await pushManifest(registry, repository, manifest, 'again');
    await expectTags(repository, ['again']);
  });

  test('is 404 for one that is not there, or was', async () => {
    const repository = await repositoryWithImage();
    expectError(await manifestAt('DELETE', repository, 'missing'), 404, 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN');
    expectError(await manifestAt('DELETE', registry.repository(), 'missing'), 404, 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN');
    expectStatus(await manifestAt('DELETE', repository, 'latest'), 202);
    expectError(await manifestAt('DELETE', repository, 'latest'), 404, 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN');
  });

  for (const tag of ['.INVALID_MANIFEST_NAME', '-x', 't'.repeat(129)]) {
    test(`is 404, or 400, for what cannot be one: ${tag.slice(0, 24)}`, async () => {
      expectStatus(await manifestAt('DELETE', await repositoryWithImage(), tag), 400, 404);
    });
  }
});

async function repositoryWithImage(): Promise<string> {
  const repository = registry.repository();
  await pushImage(registry, repository, 'latest');
  return repository;
}

checkEveryResponse();
