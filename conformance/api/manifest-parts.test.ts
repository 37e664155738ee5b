import { describe, expect, test } from 'vitest';
import { blob, type Content, descriptor, image, index, manifest, mediaTypes } from '../harness/content.ts';
import { errorsOf, expectError, expectStatus } from './expectations.ts';
import { pushBlob, pushImage, pushManifest, putManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

/** The answer names exactly these as missing, each in an entry of its own. */
async function expectMissing(repository: string, content: Content, missing: readonly Content[]): Promise<void> {
  const reply = await putManifest(registry, repository, 'latest', content);
  expectError(reply, 400, 'MANIFEST_BLOB_UNKNOWN');
  const errors = errorsOf(reply);
  expect(errors.map(({ code }) => code)).toEqual(missing.map(() => 'MANIFEST_BLOB_UNKNOWN'));
  const details = JSON.stringify(errors.map(({ detail }) => detail));
  for (const { digest } of missing) expect(details).toContain(digest);
  expectStatus(await registry.request('HEAD', `/v2/${repository}/manifests/latest`), 404);
}

describe('an image is taken when all of it is there [OCI end-7; distribution]', () => {
  test('one error for each part that is missing, until none is', async () => {
    const repository = registry.repository();
    const config = blob(undefined, mediaTypes.config);
    const layers = [blob(), blob()];
    const content = image(
      descriptor(config),
      layers.map((layer) => descriptor(layer)),
    );
    await expectMissing(repository, content, [config, ...layers]);
    await pushBlob(registry, repository, config);
    await expectMissing(repository, content, layers);
    for (const layer of layers) await pushBlob(registry, repository, layer);
    await pushManifest(registry, repository, content, 'latest');
  });

  test('by digest as well as by tag', async () => {
    const repository = registry.repository();
    const content = image(descriptor(blob()), []);
    const reply = await putManifest(registry, repository, content.digest, content);
    expectError(reply, 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('docker images too', async () => {
    const config = blob(undefined, mediaTypes.dockerConfig);
    const layer = blob(undefined, mediaTypes.dockerLayer);
    const fields = {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerImage,
      config: descriptor(config),
      layers: [descriptor(layer)],
    };
    await expectMissing(registry.repository(), manifest(fields, mediaTypes.dockerImage), [config, layer]);
  });

  test('artifacts too [berth]', async () => {
    const config = blob('{"a": "config of its own"}', 'application/vnd.acme.config');
    const layer = blob(undefined, 'application/vnd.acme.rocket');
    const content = image(descriptor(config), [descriptor(layer)], { artifactType: 'application/vnd.acme' });
    await expectMissing(registry.repository(), content, [config, layer]);
  });

  test('what another repository has is missing here', async () => {
    const { config, layer, manifest: content } = await pushImage(registry, registry.repository());
    await expectMissing(registry.repository(), content, [config, layer]);
  });

  test('what is missing twice is missing', async () => {
    const layer = blob();
    const repository = registry.repository();
    const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config));
    const reply = await putManifest(
      registry,
      repository,
      'x',
      image(descriptor(config), [descriptor(layer), descriptor(layer)]),
    );
    expectError(reply, 400, 'MANIFEST_BLOB_UNKNOWN');
  });

  test('parts under sha512 are found', async () => {
    const repository = registry.repository();
    const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config, 'sha512'));
    const layer = await pushBlob(registry, repository, blob(undefined, mediaTypes.layer, 'sha512'));
    await pushManifest(registry, repository, image(descriptor(config), [descriptor(layer)], {}, 'sha512'));
  });
});

describe('an index is taken when its children are there [distribution]', () => {
  test('a child that is missing', async () => {
    const child = image(descriptor(blob()), []);
    await expectMissing(registry.repository(), index([descriptor(child)]), [child]);
  });

  test('a child of a docker list that is missing', async () => {
    const child = { ...blob(), mediaType: mediaTypes.dockerImage };
    const fields = { schemaVersion: 2, mediaType: mediaTypes.dockerList, manifests: [descriptor(child)] };
    await expectMissing(registry.repository(), manifest(fields, mediaTypes.dockerList), [child]);
  });

  test('one of two', async () => {
    const repository = registry.repository();
    const { manifest: present } = await pushImage(registry, repository);
    const absent = image(descriptor(blob()), []);
    await expectMissing(repository, index([descriptor(present), descriptor(absent)]), [absent]);
  });

  test('an index in an index', async () => {
    const repository = registry.repository();
    const { manifest: leaf } = await pushImage(registry, repository);
    const inner = await pushManifest(registry, repository, index([descriptor(leaf)]));
    const outer = await pushManifest(registry, repository, index([descriptor(inner)]), 'outer');
    const reply = await registry.request('GET', `/v2/${repository}/manifests/outer`);
    expect(reply.body).toEqual(outer.bytes);
  });

  test('children under sha512', async () => {
    const repository = registry.repository();
    const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config));
    const child = await pushManifest(registry, repository, image(descriptor(config), [], {}, 'sha512'));
    await pushManifest(registry, repository, index([descriptor(child)], {}, 'sha512'));
  });
});

checkEveryResponse();
