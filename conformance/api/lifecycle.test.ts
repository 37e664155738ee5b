import { describe, expect, test } from 'vitest';
import { blob, type Content, descriptor, emptyJson, image, index, mediaTypes } from '../harness/content.ts';
import { expectHeaders, expectStatus } from './expectations.ts';
import { pushBlob, pushImage, pushManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

/** Pulls all that hangs on a reference, as a client does: by tag, then by the digests found. */
async function pull(repository: string, reference: string): Promise<string[]> {
  const reply = await registry.request('GET', `/v2/${repository}/manifests/${reference}`);
  expectStatus(reply, 200);
  const digest = reply.header('docker-content-digest') ?? '';
  const body = reply.json() as Record<string, { digest: string }[] & { digest?: string }>;
  const pulled = [digest];
  for (const child of body.manifests ?? []) pulled.push(...(await pull(repository, child.digest)));
  for (const part of [
    ...(body.config?.digest === undefined ? [] : [{ digest: body.config.digest }]),
    ...(body.layers ?? []),
  ]) {
    expectStatus(await registry.request('GET', `/v2/${repository}/blobs/${part.digest}`), 200);
    pulled.push(part.digest);
  }
  return pulled;
}

async function pushPlatforms(repository: string, platforms: readonly string[], tag: string) {
  const images = [];
  for (const architecture of platforms) {
    const { manifest, config, layer } = await pushImage(registry, repository);
    images.push({ manifest, config, layer, platform: { architecture, os: 'linux' } });
  }
  const content = index(images.map(({ manifest, platform }) => descriptor(manifest, { platform })));
  await pushManifest(registry, repository, content, tag);
  return { content, images };
}

describe('what people do with a registry [client]', () => {
  test('push an image for several platforms and pull all of it', async () => {
    const repository = registry.repository();
    const { content, images } = await pushPlatforms(repository, ['amd64', 'arm64', 's390x'], 'v1');
    const parts = images.flatMap(({ manifest, config, layer }) => [manifest, config, layer]);
    expect(await pull(repository, 'v1')).toEqual([content, ...parts].map(({ digest }) => digest));
  });

  test('promote an image to another repository by mounting its blobs', async () => {
    const [staging, production] = [registry.repository('staging'), registry.repository('production')];
    const { manifest, config, layer } = await pushImage(registry, staging, 'v1');
    for (const { digest } of [config, layer]) {
      const target = `/v2/${production}/blobs/uploads/?mount=${digest}&from=${staging}`;
      expectStatus(await registry.request('POST', target), 201);
    }
    await pushManifest(registry, production, manifest, 'v1');
    expect(await pull(production, 'v1')).toEqual(await pull(staging, 'v1'));
  });

  test('sign an image, find the signature, delete both, push them again', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'v1');
    const empty = descriptor(await pushBlob(registry, repository, emptyJson));
    const payload = await pushBlob(registry, repository, blob(undefined, 'application/vnd.acme.signature'));
    const fields = { subject: descriptor(manifest), artifactType: 'application/vnd.acme.signature' };
    const signature = image(empty, [descriptor(payload)], fields);
    const found = async () => {
      const reply = await registry.request('GET', `/v2/${repository}/referrers/${manifest.digest}`);
      return (reply.json() as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest);
    };
    for (let i = 0; i < 2; i++) {
      await pushManifest(registry, repository, manifest, 'v1');
      await pushManifest(registry, repository, signature);
      expect(await found()).toEqual([signature.digest]);
      for (const { digest } of [signature, manifest]) {
        expectStatus(await registry.request('DELETE', `/v2/${repository}/manifests/${digest}`), 202);
      }
      expect(await found()).toEqual([]);
    }
  });

  test('move a tag from an image to an index and back [zot]', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository, 'latest');
    const { content } = await pushPlatforms(repository, ['amd64'], 'latest');
    const typeOf = async () =>
      (await registry.request('HEAD', `/v2/${repository}/manifests/latest`)).header('content-type');
    expect(await typeOf()).toBe(mediaTypes.index);
    await pushManifest(registry, repository, manifest, 'latest');
    expect(await typeOf()).toBe(mediaTypes.image);
    expectStatus(await registry.request('HEAD', `/v2/${repository}/manifests/${content.digest}`), 200);
  });

  test('push many images to many repositories at once', async () => {
    const repositories = Array.from({ length: 6 }, () => registry.repository());
    const base = blob();
    await Promise.all(
      repositories.map(async (repository) => {
        await pushBlob(registry, repository, base);
        await Promise.all(
          [1, 2, 3].map(async (n) => {
            const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config));
            await pushManifest(registry, repository, image(descriptor(config), [descriptor(base)]), `v${n}`);
          }),
        );
      }),
    );
    for (const repository of repositories) {
      const tags = await registry.request('GET', `/v2/${repository}/tags/list`);
      expect(tags.json()).toEqual({ name: repository, tags: ['v1', 'v2', 'v3'] });
      for (const tag of ['v1', 'v2', 'v3']) expect(await pull(repository, tag)).toHaveLength(3);
    }
  });

  test('pull while the same tag is pushed: always one image or the other', async () => {
    const repository = registry.repository();
    const contents: Content[] = [];
    for (let i = 0; i < 2; i++) contents.push((await pushImage(registry, repository, 'moving')).manifest);
    const known = new Map(contents.map((content) => [content.digest, content]));
    const push = async () => {
      for (let i = 0; i < 20; i++)
        for (const content of contents) await pushManifest(registry, repository, content, 'moving');
    };
    const pulls = async () => {
      for (let i = 0; i < 60; i++) {
        const reply = await registry.request('GET', `/v2/${repository}/manifests/moving`);
        expectStatus(reply, 200);
        expect(reply.body).toEqual(known.get(reply.header('docker-content-digest') ?? '')?.bytes);
      }
    };
    await Promise.all([push(), pulls(), pulls()]);
  });

  test('clean up: delete every manifest and every blob, and nothing is left', async () => {
    const repository = registry.repository();
    const { manifest, config, layer } = await pushImage(registry, repository, 'v1');
    expectStatus(await registry.request('DELETE', `/v2/${repository}/manifests/${manifest.digest}`), 202);
    for (const { digest } of [config, layer]) {
      expectStatus(await registry.request('DELETE', `/v2/${repository}/blobs/${digest}`), 202);
    }
    for (const target of [`manifests/${manifest.digest}`, 'manifests/v1', `blobs/${layer.digest}`]) {
      expectStatus(await registry.request('HEAD', `/v2/${repository}/${target}`), 404);
    }
    const reply = await registry.request('GET', `/v2/${repository}/referrers/${manifest.digest}`);
    expectStatus(reply, 200);
    expectHeaders(reply, { 'Content-Type': mediaTypes.index });
  });
});

checkEveryResponse();
