import { describe, expect, it } from 'vitest';
import { digestOf } from './digest.ts';
import { parseManifest, readStoredManifest } from './manifest.ts';
import { mediaTypes } from './media-type.ts';

const descriptor = (mediaType: string, text = mediaType) => ({
  mediaType,
  digest: digestOf(Buffer.from(text)),
  size: text.length,
});
const config = descriptor('application/vnd.oci.image.config.v1+json');
const layer = descriptor('application/vnd.oci.image.layer.v1.tar+gzip');
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] };
const index = { schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [descriptor(mediaTypes.ociManifest)] };
const bytes = (value: unknown) => Buffer.from(JSON.stringify(value));

describe('parseManifest', () => {
  it('reads what the registry must know of an image', () => {
    const subject = descriptor(mediaTypes.ociManifest, 'subject');
    const info = parseManifest(bytes({ ...image, subject, annotations: { a: 'b' } }), mediaTypes.ociManifest);
    expect(info).toMatchObject({ kind: 'image', mediaType: mediaTypes.ociManifest, subject: subject.digest });
    expect(info.blobs.map(({ digest }) => digest)).toEqual([config.digest, layer.digest]);
    expect(info.artifactType).toBe(config.mediaType);
    expect(info.annotations).toEqual({ a: 'b' });
  });

  it('reads children and platforms of an index, and gives it no artifact type of a config', () => {
    const child = { ...descriptor(mediaTypes.dockerManifest), platform: { os: 'linux', architecture: 'arm64' } };
    const info = parseManifest(bytes({ ...index, manifests: [child] }));
    expect(info.manifests).toMatchObject([{ digest: child.digest, platform: { os: 'linux', architecture: 'arm64' } }]);
    expect(info.artifactType).toBeUndefined();
  });

  it('tells the type by shape where the manifest does not say it', () => {
    const { mediaType: _, ...bareIndex } = index;
    const { mediaType: __, ...bareImage } = image;
    expect(parseManifest(bytes(bareIndex)).mediaType).toBe(mediaTypes.ociIndex);
    expect(parseManifest(bytes(bareImage), mediaTypes.ociManifest).mediaType).toBe(mediaTypes.ociManifest);
  });

  it.each<[string, unknown]>([
    ['an empty index', { ...index, manifests: [] }],
    ['no layers', { ...image, layers: [] }],
    ['layers of a Go client that had none', { ...image, layers: null }],
    ['unknown fields', { ...image, newField: { a: [1] } }],
    ['the same layer twice', { ...image, layers: [layer, layer] }],
    ['a type that is opaque to us', { mediaType: 'application/vnd.example+json', anything: true }],
    ['an artifact manifest', { mediaType: mediaTypes.ociArtifact, artifactType: 'a/b', blobs: [layer] }],
  ])('accepts %s', (_, value) => {
    expect(() => parseManifest(bytes(value))).not.toThrow();
  });

  it.each<[string, unknown, string?]>([
    ['no object', []],
    ['a missing schemaVersion', { ...image, schemaVersion: undefined }],
    ['schemaVersion 1', { ...image, schemaVersion: 1 }],
    ['another Content-Type', image, mediaTypes.dockerManifest],
    ['docker without mediaType', { ...image, mediaType: undefined }, mediaTypes.dockerManifest],
    ['an unknown type that only the header names', { a: 1 }, 'application/vnd.example+json'],
    ['a missing config', { ...image, config: undefined }],
    ['missing layers', { ...image, layers: undefined }],
    ['an image with manifests', { ...image, manifests: [] }],
    ['an index with layers', { ...index, layers: [] }],
    ['an index with config', { ...index, config }],
    ['an index without manifests', { ...index, manifests: undefined }],
    ['a negative size', { ...image, config: { ...config, size: -1 } }],
    ['a size that is no whole number', { ...image, config: { ...config, size: 1.5 } }],
    ['a bad digest', { ...image, layers: [{ ...layer, digest: 'sha256:x' }] }],
    ['schema 1', { mediaType: 'application/vnd.docker.distribution.manifest.v1+prettyjws', schemaVersion: 1 }],
    ['a media type with a line break', { mediaType: 'a/b\r\nX: y' }],
    ['annotations that are no strings', { ...image, annotations: { a: 1 } }],
    ['a subject that is no descriptor', { ...image, subject: 'x' }],
  ])('refuses %s', (_, value, contentType) => {
    expect(() => parseManifest(bytes(value), contentType)).toThrow(
      expect.objectContaining({ code: 'MANIFEST_INVALID' }),
    );
  });

  it('refuses brackets without end, but not those in texts', () => {
    expect(() => parseManifest(Buffer.from(`{"a":${'['.repeat(500)}${']'.repeat(500)}}`))).toThrow('deeper');
    const annotations = { a: '['.repeat(500), b: '"\\"[[['.repeat(100) };
    expect(() => parseManifest(bytes({ ...image, annotations }))).not.toThrow();
  });

  it('refuses what is not JSON, or not UTF-8', () => {
    expect(() => parseManifest(Buffer.from('{'))).toThrow('not JSON');
    expect(() => parseManifest(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow('not JSON');
  });
});

describe('readStoredManifest', () => {
  it.each<[string, unknown, string]>([
    ['a layer without size', { ...image, layers: [{ ...layer, size: undefined }] }, mediaTypes.ociManifest],
    ['only a shape', { manifests: 'broken' }, mediaTypes.ociIndex],
    ['schema 1', { schemaVersion: 1, name: 'a' }, 'application/vnd.docker.distribution.manifest.v1+json'],
    [
      'schema 1, signed',
      { schemaVersion: 1, signatures: [] },
      'application/vnd.docker.distribution.manifest.v1+prettyjws',
    ],
  ])('keeps the type of what others stored: %s', (_, value, mediaType) => {
    expect(readStoredManifest(bytes(value))).toMatchObject({
      mediaType,
      kind: undefined,
      blobs: [],
      subject: undefined,
    });
  });

  it('takes a platform only as it should be', () => {
    const child = { ...descriptor(mediaTypes.ociManifest), platform: { os: { toString: 1 }, architecture: 'arm64' } };
    expect(parseManifest(bytes({ ...index, manifests: [child] })).manifests[0]).not.toHaveProperty('platform');
  });
});
