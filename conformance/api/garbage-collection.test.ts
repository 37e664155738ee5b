import { describe, expect, test } from 'vitest';
import { blob, descriptor, emptyJson, image, index, mediaTypes } from '../harness/content.ts';
import { run } from '../harness/run.ts';
import type { Server } from '../harness/server.ts';
import { registryCommand, registryIsGiven, startRegistry } from '../harness/under-test.ts';
import { expectStatus } from './expectations.ts';
import { pushBlob, pushImage, pushManifest } from './push.ts';
import { checkEveryResponse, connect, type Registry } from './registry.ts';

const repository = 'some/repository';

/**
 * Fills a registry, stops it, collects garbage (in the way of `registry garbage-collect`), starts it again and looks.
 *
 * @param push what to push; what it returns is handed to `look`
 */
async function collect<T>(
  flags: readonly string[],
  push: (registry: Registry) => Promise<T>,
  look: (registry: Registry, pushed: T) => Promise<void>,
): Promise<void> {
  const before: Server = await startRegistry();
  const pushed = await push(connect(before.url));
  await before.kill();
  const [command, ...args] = registryCommand();
  const result = await run(command, [...args, 'garbage-collect', ...flags, before.configFile]);
  expect(result.code, `${result.stdout}\n${result.stderr}`).toBe(0);
  const after = await startRegistry({ dataDir: before.dataDir });
  await look(connect(after.url), pushed);
  await after.stop();
  await before.stop();
}

const at = (kind: 'blobs' | 'manifests', reference: string) => `/v2/${repository}/${kind}/${reference}`;

/** These need a server that stands still, so they are left out when a registry is given. */
describe.skipIf(registryIsGiven)('garbage collection [distribution]', () => {
  test('removes what no manifest needs, and keeps what two share', async () => {
    await collect(
      [],
      async (registry) => {
        const { manifest, config, layer } = await pushImage(registry, repository, 'kept');
        const loose = await pushBlob(registry, repository);
        const other = await pushBlob(registry, repository);
        const dropped = image(descriptor(config), [descriptor(layer), descriptor(other)]);
        await pushManifest(registry, repository, dropped, 'dropped');
        expectStatus(await registry.request('DELETE', at('manifests', dropped.digest)), 202);
        return { manifest, config, layer, loose, other, dropped };
      },
      async (registry, { manifest, config, layer, loose, other, dropped }) => {
        expect((await registry.request('GET', at('manifests', 'kept'))).body).toEqual(manifest.bytes);
        for (const { digest, bytes } of [config, layer]) {
          expect((await registry.request('GET', at('blobs', digest))).body).toEqual(bytes);
        }
        for (const { digest } of [loose, other]) expectStatus(await registry.request('GET', at('blobs', digest)), 404);
        expectStatus(await registry.request('GET', at('manifests', dropped.digest)), 404);
        // What was removed can be pushed again.
        await pushBlob(registry, repository, other);
        await pushManifest(registry, repository, dropped, 'again');
      },
    );
  });

  test('keeps untagged manifests, unless told otherwise', async () => {
    await collect(
      [],
      (registry) => pushImage(registry, repository),
      async (registry, { manifest, layer }) => {
        expectStatus(await registry.request('GET', at('manifests', manifest.digest)), 200);
        expectStatus(await registry.request('GET', at('blobs', layer.digest)), 200);
      },
    );
  });

  for (const flag of ['-m', '--delete-untagged']) {
    test(`removes untagged manifests with ${flag}, but not the children of an index that has a tag`, async () => {
      await collect(
        [flag],
        async (registry) => {
          const { manifest: child, layer } = await pushImage(registry, repository);
          await pushManifest(registry, repository, index([descriptor(child)]), 'index');
          const { manifest: untagged, layer: loose } = await pushImage(registry, repository);
          return { child, layer, untagged, loose };
        },
        async (registry, { child, layer, untagged, loose }) => {
          expectStatus(await registry.request('GET', at('manifests', 'index')), 200);
          expectStatus(await registry.request('GET', at('manifests', child.digest)), 200);
          expectStatus(await registry.request('GET', at('blobs', layer.digest)), 200);
          expectStatus(await registry.request('GET', at('manifests', untagged.digest)), 404);
          expectStatus(await registry.request('GET', at('blobs', loose.digest)), 404);
        },
      );
    });
  }

  for (const flag of ['-d', '--dry-run']) {
    test(`only tells with ${flag}`, async () => {
      await collect(
        [flag],
        (registry) => pushBlob(registry, repository),
        async (registry, { digest }) => {
          expectStatus(await registry.request('GET', at('blobs', digest)), 200);
        },
      );
    });
  }

  test('keeps the referrers of an image that is kept [berth]', async () => {
    await collect(
      ['-m'],
      async (registry) => {
        const { manifest } = await pushImage(registry, repository, 'latest');
        const empty = descriptor(await pushBlob(registry, repository, emptyJson));
        const layer = await pushBlob(registry, repository, blob(undefined, 'application/vnd.acme.signature'));
        const signature = image(empty, [descriptor(layer)], { subject: descriptor(manifest) });
        await pushManifest(registry, repository, signature);
        return { manifest, signature, layer };
      },
      async (registry, { manifest, signature, layer }) => {
        expectStatus(await registry.request('GET', at('manifests', signature.digest)), 200);
        expectStatus(await registry.request('GET', at('blobs', layer.digest)), 200);
        const referrers = await registry.request('GET', `/v2/${repository}/referrers/${manifest.digest}`);
        expect(referrers.json()).toMatchObject({ manifests: [{ digest: signature.digest }] });
      },
    );
  });

  test('removes the referrers of an image that is not kept [zot]', async () => {
    await collect(
      ['-m'],
      async (registry) => {
        const { manifest } = await pushImage(registry, repository);
        const empty = descriptor(await pushBlob(registry, repository, emptyJson));
        const signature = image(empty, [], { subject: descriptor(manifest) });
        await pushManifest(registry, repository, signature);
        await pushImage(registry, repository, 'other');
        return { manifest, signature };
      },
      async (registry, { manifest, signature }) => {
        expectStatus(await registry.request('GET', at('manifests', signature.digest)), 404);
        const referrers = await registry.request('GET', `/v2/${repository}/referrers/${manifest.digest}`);
        expect(referrers.json()).toMatchObject({ manifests: [] });
      },
    );
  });

  test('is not broken by a layer or a child that is missing', async () => {
    await collect(
      [],
      async (registry) => {
        const { manifest, layer } = await pushImage(registry, repository, 'latest');
        expectStatus(await registry.request('DELETE', at('blobs', layer.digest)), 202);
        await pushManifest(registry, repository, index([descriptor(manifest)]), 'index');
        const { manifest: child } = await pushImage(registry, repository);
        await pushManifest(registry, repository, index([descriptor(child)]), 'broken');
        expectStatus(await registry.request('DELETE', at('manifests', child.digest)), 202);
      },
      async (registry) => {
        for (const tag of ['latest', 'index', 'broken']) {
          expectStatus(await registry.request('GET', at('manifests', tag)), 200);
        }
      },
    );
  });

  test('keeps sha512 images [OCI "Digest"]', async () => {
    await collect(
      ['-m'],
      async (registry) => {
        const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config, 'sha512'));
        const layer = await pushBlob(registry, repository, blob(undefined, mediaTypes.layer, 'sha512'));
        const child = image(descriptor(config), [descriptor(layer)], {}, 'sha512');
        await pushManifest(registry, repository, child);
        await pushManifest(registry, repository, index([descriptor(child)]), 'index');
        return { config, layer, child };
      },
      async (registry, { config, layer, child }) => {
        expectStatus(await registry.request('GET', at('manifests', child.digest)), 200);
        for (const { digest, bytes } of [config, layer]) {
          expect((await registry.request('GET', at('blobs', digest))).body).toEqual(bytes);
        }
      },
    );
  });
});

checkEveryResponse();
