import { createHash, randomBytes, randomUUID } from 'node:crypto';

/** Content to push: bytes with what the protocol calls them. */
export interface Content {
  readonly bytes: Buffer;
  /** `algorithm:hex` */
  readonly digest: string;
  readonly mediaType: string;
}

/** A descriptor as it is written into manifests (image-spec, "Descriptor"). */
export interface DescriptorJson {
  mediaType: string;
  digest: string;
  size: number;
  [field: string]: unknown;
}

export type Algorithm = 'sha256' | 'sha512';

export const mediaTypes = {
  image: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  empty: 'application/vnd.oci.empty.v1+json',
  dockerImage: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

export function digestOf(bytes: string | Uint8Array, algorithm: Algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** The digest of nothing that exists. */
export function unknownDigest(algorithm: Algorithm = 'sha256'): string {
  return digestOf(randomUUID(), algorithm);
}

/** A blob; without bytes a new one of 64 random bytes. */
export function blob(
  bytes: string | Uint8Array = randomBytes(64),
  mediaType: string = mediaTypes.layer,
  algorithm: Algorithm = 'sha256',
): Content {
  return { bytes: Buffer.from(bytes), digest: digestOf(bytes, algorithm), mediaType };
}

/** The empty JSON object, which artifacts have as config (image-spec, "Guidance for an Empty Descriptor"). */
export const emptyJson: Content = blob('{}', mediaTypes.empty);

export function descriptor(content: Content, fields: object = {}): DescriptorJson {
  return { mediaType: content.mediaType, digest: content.digest, size: content.bytes.length, ...fields };
}

/** The bytes that a manifest is pushed as. Indented, so that whoever rewrites it is found out. */
export function manifest(fields: object, mediaType: string, algorithm: Algorithm = 'sha256'): Content {
  const bytes = Buffer.from(JSON.stringify(fields, null, 3));
  return { bytes, digest: digestOf(bytes, algorithm), mediaType };
}

/** An OCI image manifest. `fields` are laid over it. */
export function image(
  config: DescriptorJson,
  layers: readonly DescriptorJson[],
  fields: object = {},
  algorithm: Algorithm = 'sha256',
): Content {
  return manifest(
    { schemaVersion: 2, mediaType: mediaTypes.image, config, layers, ...fields },
    mediaTypes.image,
    algorithm,
  );
}

/** An OCI image index. `fields` are laid over it. */
export function index(
  manifests: readonly DescriptorJson[],
  fields: object = {},
  algorithm: Algorithm = 'sha256',
): Content {
  return manifest({ schemaVersion: 2, mediaType: mediaTypes.index, manifests, ...fields }, mediaTypes.index, algorithm);
}
