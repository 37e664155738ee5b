import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blob, type Content, descriptor, image, index, manifest, mediaTypes } from '../harness/content.ts';
import { type Artifact, noise, noiseImage } from './raw/artifact.ts';
import { contentsOf } from './raw/oci-layout.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

/** What BuildKit pushes beside plain images: its registry cache in all its shapes, and attestations. */

const cacheConfigType = 'application/vnd.buildkit.cacheconfig.v0';

/** The layers of a cache and the record that says which build steps they are. */
function cacheOf(seed: string): { layers: Content[]; config: Content } {
  const layers = [0, 1, 2].map((at) => blob(noise(`${seed}/${at}`, 5000), `${mediaTypes.layer}+gzip`));
  const config = blob(
    JSON.stringify({ layers: layers.map((layer) => ({ blob: layer.digest })), records: [] }),
    cacheConfigType,
  );
  return { layers, config };
}

const shapes: Record<string, (seed: string) => Artifact> = {
  'a cache as an index whose manifests are blobs (image-manifest=false)': (seed) => {
    const { layers, config } = cacheOf(seed);
    const blobs = [...layers, config];
    return { manifest: index(blobs.map((each) => descriptor(each))), blobs, children: [] };
  },
  'a cache as a Docker manifest list whose manifests are blobs (oci-mediatypes=false)': (seed) => {
    const { layers, config } = cacheOf(seed);
    const blobs = [...layers, config];
    const fields = {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerList,
      manifests: blobs.map((each) => descriptor(each)),
    };
    return { manifest: manifest(fields, mediaTypes.dockerList), blobs, children: [] };
  },
  'a cache as an image whose config is the record (image-manifest=true)': (seed) => {
    const { layers, config } = cacheOf(seed);
    const layerDescriptors = layers.map((each) => descriptor(each));
    return { manifest: image(descriptor(config), layerDescriptors), blobs: [...layers, config], children: [] };
  },
  'an image with its attestation beside it in one index': (seed) => {
    const built = noiseImage(`${seed}/image`);
    const statement = blob(
      JSON.stringify({ predicateType: 'https://slsa.dev/provenance/v1', seed }),
      'application/vnd.in-toto+json',
    );
    const config = blob(
      '{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}',
      mediaTypes.config,
    );
    const attestation = image(descriptor(config), [descriptor(statement)]);
    const children = [built, { manifest: attestation, blobs: [config, statement], children: [] }];
    return {
      manifest: index([
        descriptor(built.manifest, { platform: { os: 'linux', architecture: 'amd64' } }),
        descriptor(attestation, {
          platform: { os: 'unknown', architecture: 'unknown' },
          annotations: {
            'vnd.docker.reference.digest': built.manifest.digest,
            'vnd.docker.reference.type': 'attestation-manifest',
          },
        }),
      ]),
      blobs: [],
      children,
    };
  },
};

let registry: RegistryUnderTest;
let client: RegistryClient;

beforeAll(async () => {
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
});

/** Reads everything back, the manifest by its tag. */
async function expectWhole(repository: string, tag: string, artifact: Artifact): Promise<void> {
  const { manifest } = artifact;
  const reply = await client.getManifest(repository, tag);
  expect([reply.status, reply.header('Content-Type'), reply.header('Docker-Content-Digest')]).toEqual([
    200,
    manifest.mediaType,
    manifest.digest,
  ]);
  const manifests = new Set([manifest, ...artifact.children.map((child) => child.manifest)]);
  for (const content of contentsOf(artifact)) {
    const get = manifests.has(content) ? client.getManifest : client.getBlob;
    expect((await get(repository, content.digest)).body).toEqual(content.bytes);
  }
}

describe('BuildKit', () => {
  describe.each(Object.keys(shapes).map((name, at) => [name, `buildkit/shape-${at}`] as const))(
    '%s',
    (name, repository) => {
      const make = (seed: string) => shapes[name]?.(`${repository}/${seed}`) ?? noiseImage(seed);

      test('is taken and given back as it was', async () => {
        await client.push(repository, make('first'), 'cache');
        await expectWhole(repository, 'cache', make('first'));
      });

      test('is replaced by the next build', async () => {
        await client.push(repository, make('second'), 'cache');
        await expectWhole(repository, 'cache', make('second'));
      });
    },
  );
});
