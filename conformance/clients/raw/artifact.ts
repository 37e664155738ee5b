import { createHash } from 'node:crypto';
import { blob, type Content, descriptor, image, index, manifest, mediaTypes } from '../../harness/content.ts';

/** A manifest with all that it refers to: the blobs go first, then the children, then the manifest. */
export interface Artifact {
  readonly manifest: Content;
  readonly blobs: readonly Content[];
  readonly children: readonly Artifact[];
}

/** Bytes that no compression shortens and that the seed alone decides. */
export function noise(seed: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(seed).digest();
}

export interface ImageOptions {
  /** Default: oci. */
  family?: 'oci' | 'docker';
  architecture?: string;
  /** What the image runs. */
  command?: readonly string[];
  /** Digests of the uncompressed layers. Default: the layers' own. */
  diffIds?: readonly string[];
  /** Laid over the manifest, e.g. `annotations`, `subject`. */
  fields?: object;
}

/** An image of these layers. */
export function imageOf(layers: readonly Content[], options: ImageOptions = {}): Artifact {
  const { family = 'oci', architecture = 'amd64', command, diffIds, fields } = options;
  const config = blob(
    JSON.stringify({
      architecture,
      os: 'linux',
      config: { Cmd: command ?? null },
      rootfs: { type: 'layers', diff_ids: diffIds ?? layers.map((layer) => layer.digest) },
    }),
    family === 'oci' ? mediaTypes.config : mediaTypes.dockerConfig,
  );
  const descriptors = layers.map((layer) => descriptor(layer));
  const docker = {
    mediaType: mediaTypes.dockerImage,
    schemaVersion: 2,
    config: descriptor(config),
    layers: descriptors,
  };
  return {
    manifest:
      family === 'oci'
        ? image(descriptor(config), descriptors, fields)
        : manifest({ ...docker, ...fields }, mediaTypes.dockerImage),
    blobs: [config, ...layers],
    children: [],
  };
}

/** An image whose layers are noise: whole for a registry, though no runtime could unpack it. */
export function noiseImage(seed: string, options: ImageOptions & { layers?: number; size?: number } = {}): Artifact {
  const { layers = 2, size = 1000, ...imageOptions } = options;
  const type = imageOptions.family === 'docker' ? mediaTypes.dockerLayer : mediaTypes.layer;
  return imageOf(
    Array.from({ length: layers }, (_, at) => blob(noise(`${seed}/${at}`, size), type)),
    imageOptions,
  );
}

/** A list of images, each for an architecture of its own. @param fields laid over it */
export function listOf(children: readonly Artifact[], family: 'oci' | 'docker' = 'oci', fields: object = {}): Artifact {
  const architectures = ['amd64', 'arm64', 's390x', 'ppc64le', 'riscv64'];
  const manifests = children.map(({ manifest }, at) =>
    descriptor(manifest, { platform: { os: 'linux', architecture: architectures[at % architectures.length] } }),
  );
  const docker = { mediaType: mediaTypes.dockerList, schemaVersion: 2, manifests };
  return {
    manifest: family === 'oci' ? index(manifests, fields) : manifest({ ...docker, ...fields }, mediaTypes.dockerList),
    blobs: [],
    children,
  };
}
