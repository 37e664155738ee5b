import { digestOf, manifestType } from './api.ts';

/** Content of an image, as far as a registry looks into it. */
export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

export interface Image {
  config: Buffer;
  configDigest: string;
  manifest: Buffer;
  manifestDigest: string;
}

export function layerOf(digest: string, size: number): Descriptor {
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size };
}

/** An image configuration of 2,048 bytes, as usual as one can be made up; `id` makes it unique. */
export function imageConfig(id: string, layers: readonly Descriptor[]): Buffer {
  const config = {
    created: '2026-01-01T00:00:00Z',
    architecture: 'amd64',
    os: 'linux',
    config: {
      Env: ['PATH=/usr/local/bin:/usr/bin:/bin'],
      Entrypoint: ['/app'],
      Labels: { 'bench.id': id, padding: '' },
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
  };
  const missing = 2048 - Buffer.byteLength(JSON.stringify(config));
  config.config.Labels.padding = '.'.repeat(Math.max(0, missing));
  return Buffer.from(JSON.stringify(config));
}

/** An image of these layers, which are to be in the registry; `id` makes it unique. */
export function makeImage(id: string, layers: readonly Descriptor[]): Image {
  const config = imageConfig(id, layers);
  const configDigest = digestOf(config);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: configDigest, size: config.length },
      layers,
    }),
  );
  return { config, configDigest, manifest, manifestDigest: digestOf(manifest) };
}
