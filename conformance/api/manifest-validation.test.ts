import { describe, expect, test } from 'vitest';
import { blob, descriptor, digestOf, emptyJson, mediaTypes, unknownDigest } from '../harness/content.ts';
import { expectError, expectStatus } from './expectations.ts';
import { pushBlob, pushImage } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();
const { manifest: child } = await pushImage(registry, repository, 'child');
const config = descriptor(await pushBlob(registry, repository, blob(undefined, mediaTypes.config)));
const layer = descriptor(await pushBlob(registry, repository));
const empty = descriptor(await pushBlob(registry, repository, emptyJson));

const image = { schemaVersion: 2, mediaType: mediaTypes.image, config, layers: [layer] };
const index = { schemaVersion: 2, mediaType: mediaTypes.index, manifests: [descriptor(child)] };
const dockerImage = {
  schemaVersion: 2,
  mediaType: mediaTypes.dockerImage,
  config: { ...config, mediaType: mediaTypes.dockerConfig },
  layers: [{ ...layer, mediaType: mediaTypes.dockerLayer }],
};
const dockerList = {
  schemaVersion: 2,
  mediaType: mediaTypes.dockerList,
  manifests: [{ ...descriptor(child), platform: { architecture: 'amd64', os: 'linux' } }],
};
const elsewhere = (mediaType: string) => ({
  mediaType,
  digest: unknownDigest(),
  size: 100,
  urls: ['https://elsewhere.example/layer'],
});
const oci = 'application/vnd.oci.image';

/** `type` is the Content-Type; by default that of the body's `mediaType`. */
interface Row {
  name: string;
  body: unknown;
  type?: string;
}

async function put({ body, type }: Row, tag = 'validated') {
  const bytes = typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body);
  const own =
    typeof body === 'object' && body !== null && 'mediaType' in body ? String(body.mediaType) : mediaTypes.image;
  return registry.request('PUT', `/v2/${repository}/manifests/${tag}`, {
    headers: { 'Content-Type': type ?? own },
    body: Buffer.from(bytes),
  });
}

const valid: readonly Row[] = [
  { name: 'an image', body: image },
  { name: 'an index', body: index },
  { name: 'a docker image', body: dockerImage },
  { name: 'a docker list', body: dockerList },
  { name: 'no layers', body: { ...image, layers: [] } },
  { name: 'the same layer twice', body: { ...image, layers: [layer, layer] } },
  {
    name: 'the empty object as config and as layer',
    body: { ...image, artifactType: 'application/x', config: empty, layers: [empty] },
  },
  {
    name: 'a config type that nobody knows',
    body: { ...image, config: { ...config, mediaType: 'application/vnd.acme.rocket' } },
  },
  {
    name: 'a helm chart',
    body: { ...image, config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } },
  },
  { name: 'a layer type that nobody knows', body: { ...image, layers: [{ ...layer, mediaType: 'text/x-poem; v=1' }] } },
  { name: 'an artifact type', body: { ...image, artifactType: 'application/vnd.acme.rocket.config' } },
  {
    name: 'fields that nobody knows',
    body: { ...image, newUnspecifiedField: { a: [1] }, x: null, config: { ...config, y: 'z' } },
  },
  { name: 'data that is not the content', body: { ...image, config: { ...config, data: 'AAAA' } } },
  { name: 'a size that is not the blob’s', body: { ...image, layers: [{ ...layer, size: 1 }] } },
  { name: 'a size of nought', body: { ...image, layers: [{ ...layer, size: 0 }] } },
  { name: 'annotations', body: { ...image, annotations: { 'org.opencontainers.image.title': 'ä', '': '' } } },
  {
    name: 'a subject that is not there',
    body: { ...image, subject: { ...layer, mediaType: mediaTypes.image, digest: unknownDigest() } },
  },
  {
    name: 'an index with such a subject',
    body: { ...index, subject: { ...layer, mediaType: mediaTypes.image, digest: unknownDigest() } },
  },
  { name: 'an empty index', body: { ...index, manifests: [] } },
  { name: 'an index with a type', body: { ...index, artifactType: 'application/x' } },
  {
    name: 'an index with a platform of attestations',
    body: { ...index, manifests: [{ ...descriptor(child), platform: { architecture: 'unknown', os: 'unknown' } }] },
  },
  { name: 'the same child twice', body: { ...index, manifests: [descriptor(child), descriptor(child)] } },
  {
    name: 'layers that are elsewhere (OCI)',
    body: {
      ...image,
      layers: ['', '+gzip', '+zstd'].map((suffix) => elsewhere(`${oci}.layer.nondistributable.v1.tar${suffix}`)),
    },
  },
  {
    name: 'layers that are elsewhere (docker)',
    body: { ...dockerImage, layers: [elsewhere('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')] },
  },
  {
    name: 'a cache of BuildKit: an index of blobs',
    body: {
      ...index,
      manifests: [
        { ...layer, mediaType: `${oci}.layer.v1.tar+gzip` },
        { ...config, mediaType: 'application/vnd.buildkit.cacheconfig.v0' },
      ],
    },
  },
  {
    name: 'a cache of BuildKit: a docker list of blobs',
    body: {
      ...dockerList,
      manifests: [
        { ...layer, mediaType: mediaTypes.dockerLayer },
        { ...config, mediaType: 'application/vnd.buildkit.cacheconfig.v0' },
      ],
    },
  },
  { name: 'an image without mediaType', body: { ...image, mediaType: undefined }, type: mediaTypes.image },
  { name: 'an index without mediaType', body: { ...index, mediaType: undefined }, type: mediaTypes.index },
  { name: 'a key called __proto__', body: JSON.stringify(image).replace('{', '{"__proto__": {"schemaVersion": 1}, ') },
]; // prettier-ignore

describe('a manifest that OCI and its tools make is taken [image-spec; OCI end-7]', () => {
  for (const row of valid) test(row.name, async () => expectStatus(await put(row), 201));
});

const text = JSON.stringify(image);
const invalid: readonly Row[] = [
  { name: 'nothing', body: '' },
  { name: 'white space', body: ' \n ' },
  { name: 'words', body: 'blablabla' },
  { name: 'half of it', body: text.slice(0, -20) },
  { name: 'two of it', body: text + text },
  { name: 'a string', body: '"manifest"' },
  { name: 'a number', body: '2' },
  { name: 'null', body: 'null' },
  { name: 'an array', body: [image] },
  { name: 'an empty object', body: {} },
  { name: 'what is deeper than any stack', body: `{"schemaVersion":2,"x":${'['.repeat(200_000)}` },
  { name: 'no schemaVersion', body: { ...image, schemaVersion: undefined } },
  { name: 'schemaVersion 1', body: { ...image, schemaVersion: 1 } },
  { name: 'schemaVersion 3', body: { ...image, schemaVersion: 3 } },
  { name: 'schemaVersion "2"', body: { ...image, schemaVersion: '2' } },
  { name: 'an index without schemaVersion', body: { ...index, schemaVersion: undefined } },
  { name: 'a mediaType that is not the Content-Type', body: image, type: mediaTypes.index },
  { name: 'a docker type for an OCI image', body: image, type: mediaTypes.dockerImage },
  { name: 'an OCI type for a docker image', body: dockerImage, type: mediaTypes.image },
  { name: 'a mediaType that is no string', body: { ...image, mediaType: 5 }, type: mediaTypes.image },
  {
    name: 'a docker image without mediaType',
    body: { ...dockerImage, mediaType: undefined },
    type: mediaTypes.dockerImage,
  },
  {
    name: 'a docker list without mediaType',
    body: { ...dockerList, mediaType: undefined },
    type: mediaTypes.dockerList,
  },
  { name: 'an image without config', body: { ...image, config: undefined } },
  { name: 'an image without layers', body: { ...image, layers: undefined } },
  { name: 'an image whose config is null', body: { ...image, config: null } },
  { name: 'an image whose config is a string', body: { ...image, config: 'x' } },
  { name: 'an image whose layers are an object', body: { ...image, layers: { 0: layer } } },
  { name: 'a layer that is null', body: { ...image, layers: [null] } },
  { name: 'a layer without digest', body: { ...image, layers: [{ ...layer, digest: undefined }] } },
  { name: 'a layer whose digest is malformed', body: { ...image, layers: [{ ...layer, digest: 'sha256:abc' }] } },
  { name: 'a layer whose digest is a path', body: { ...image, layers: [{ ...layer, digest: 'sha256:../../../x' }] } },
  { name: 'a layer without mediaType', body: { ...image, layers: [{ ...layer, mediaType: undefined }] } },
  { name: 'a layer without size', body: { ...image, layers: [{ ...layer, size: undefined }] } },
  { name: 'a negative size', body: { ...image, layers: [{ ...layer, size: -1 }] } },
  { name: 'a broken size', body: { ...image, layers: [{ ...layer, size: 1.5 }] } },
  { name: 'a size that is a string', body: { ...image, layers: [{ ...layer, size: '64' }] } },
  { name: 'an index without manifests', body: { ...index, manifests: undefined } },
  { name: 'an index whose manifests are an object', body: { ...index, manifests: {} } },
  { name: 'a child without digest', body: { ...index, manifests: [{ ...descriptor(child), digest: undefined }] } },
  { name: 'an image that is an index too (CVE-2021-41190)', body: { ...image, manifests: [] } },
  { name: 'an index that has layers too (CVE-2021-41190)', body: { ...index, layers: [layer] } },
  { name: 'an index that has a config too (CVE-2021-41190)', body: { ...index, config } },
  { name: 'a subject without digest', body: { ...image, subject: { mediaType: mediaTypes.image, size: 1 } } },
  { name: 'a subject whose digest is malformed', body: { ...image, subject: { ...layer, digest: 'sha256:..' } } },
  { name: 'a subject that is a string', body: { ...image, subject: unknownDigest() } },
  {
    name: 'docker’s first schema',
    body: { schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [], history: [] },
    type: 'application/vnd.docker.distribution.manifest.v1+json',
  },
  {
    name: 'docker’s first schema, signed',
    body: { schemaVersion: 1, name: 'a', tag: 'b', fsLayers: [], signatures: [] },
    type: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  },
]; // prettier-ignore

describe('what is no manifest is 400 MANIFEST_INVALID [OCI "Error Codes"; image-spec; zot]', () => {
  for (const [i, row] of invalid.entries()) {
    test(row.name, async () => {
      const tag = `refused-${i}`;
      const reply = await put(row, tag);
      expectError(reply, 400, 'MANIFEST_INVALID', 'DIGEST_INVALID', 'SIZE_INVALID');
      expectStatus(await registry.request('HEAD', `/v2/${repository}/manifests/${tag}`), 404);
    });
  }
});

describe('where the sources differ, nothing breaks', () => {
  const open: readonly Row[] = [
    { name: 'layers that are null, as Go spells none', body: { ...image, layers: null } },
    { name: 'a key twice', body: text.replace('{', '{"schemaVersion": 2, ') },
    { name: 'keys that differ in case', body: { ...image, Subject: layer, SCHEMAVERSION: 1 } },
    { name: 'a byte order mark', body: `\ufeff${text}` },
    { name: 'bytes that are no UTF-8', body: Buffer.from(text.replace('{', '{"x": "\xff", '), 'latin1') },
    { name: 'a type that nobody knows', body: { schemaVersion: 2, mediaType: 'application/vnd.acme+json' } },
    { name: 'application/json', body: { schemaVersion: 2, config, layers: [] }, type: 'application/json' },
    {
      name: 'the OCI artifact manifest that was withdrawn',
      body: { mediaType: 'application/vnd.oci.artifact.manifest.v1+json', artifactType: 'a/b', blobs: [] },
    },
    { name: 'annotations that are no strings', body: { ...image, annotations: { a: 1 } } },
    { name: 'no Content-Type and no mediaType', body: { ...image, mediaType: undefined }, type: '' },
  ];
  for (const row of open) {
    test(`${row.name} [berth]`, async () => {
      const reply = await put(row);
      expectStatus(reply, 201, 400, 415);
      if (reply.status !== 201) return;
      const digest = reply.header('docker-content-digest') ?? '';
      const got = await registry.request('GET', `/v2/${repository}/manifests/${digest}`);
      expect(digestOf(got.body)).toBe(digest);
    });
  }
});

checkEveryResponse();
