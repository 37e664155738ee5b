import type { Descriptor } from './descriptor.ts';
import { type Digest, tryParseDigest } from './digest.ts';
import { RegistryError } from './errors.ts';
import { isMediaType, isSchema1, kindOf, type ManifestKind, mediaTypes } from './media-type.ts';

/** What the registry must know of a manifest; the bytes themselves are never rewritten. */
export interface ManifestInfo {
  readonly mediaType: string;
  /** Undefined: a type that is opaque to the registry; it then refers to nothing. */
  readonly kind: ManifestKind | undefined;
  /** Configuration and layers of an image, blobs of an artifact. */
  readonly blobs: readonly Descriptor[];
  /** Children of an index. */
  readonly manifests: readonly ChildDescriptor[];
  readonly subject: Digest | undefined;
  /** Derived as image-spec says for descriptors of referrers: the configuration's type where an image has none. */
  readonly artifactType: string | undefined;
  readonly annotations: Readonly<Record<string, string>> | undefined;
}

export interface ChildDescriptor extends Descriptor {
  readonly platform?: Platform;
}

/** What an image runs on, in the words of Go (image-spec, "Image Index"). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Of the CPU: `v7`. */
  readonly variant?: string;
}

type Json = Readonly<Record<string, unknown>>;

function invalid(message: string, detail?: unknown): RegistryError {
  return new RegistryError('MANIFEST_INVALID', { message, detail });
}

/**
 * Reads and checks a manifest (image-spec, "Image Manifest" and "Image Index"; Docker schema 2).
 *
 * @param contentType what the client called it, without parameters; undefined: as the manifest itself says
 * @throws RegistryError MANIFEST_INVALID
 */
export function parseManifest(content: Uint8Array, contentType?: string): ManifestInfo {
  const json = parseObject(content);
  const mediaType = mediaTypeOf(json, contentType);
  if (isSchema1(mediaType)) throw invalid('schema 1 manifests are not supported; push schema 2 or an OCI manifest');
  const kind = kindOf(mediaType);
  if (kind === undefined) return { ...nothing, mediaType };
  if (kind !== 'artifact' && json.schemaVersion !== 2) throw invalid('schemaVersion must be 2');

  const annotations = annotationsOf(json.annotations, 'annotations');
  const subject = json.subject === undefined ? undefined : descriptorOf(json.subject, 'subject').digest;
  const ownType = typeof json.artifactType === 'string' && json.artifactType !== '' ? json.artifactType : undefined;
  const common = { mediaType, kind, subject, annotations };
  switch (kind) {
    case 'image': {
      // An ambiguous document reads as an image here and as an index there (CVE-2021-41190).
      if (json.manifests !== undefined) throw invalid('an image manifest must not have manifests');
      const config = descriptorOf(json.config, 'config');
      const layers = descriptorsOf(json.layers, 'layers', mediaType === mediaTypes.dockerManifest);
      return { ...common, artifactType: ownType ?? config.mediaType, blobs: [config, ...layers], manifests: [] };
    }
    case 'index':
      if (json.config !== undefined || json.layers !== undefined) {
        throw invalid('an index must not have config or layers');
      }
      return { ...common, artifactType: ownType, blobs: [], manifests: childrenOf(json.manifests) };
    case 'artifact':
      return { ...common, artifactType: ownType, blobs: descriptorsOf(json.blobs, 'blobs', true), manifests: [] };
  }
}

/**
 * What the registry must know of a manifest that it has. Other servers, and older ones, took what {@link parseManifest}
 * refuses; that is served all the same, and what cannot be understood refers to nothing.
 */
export function readStoredManifest(content: Uint8Array): ManifestInfo {
  try {
    return parseManifest(content);
  } catch {
    return { ...nothing, mediaType: storedMediaType(content) };
  }
}

/** The fields of a manifest that the registry has, none of them checked. @returns undefined when it is no JSON object */
export function readFields(content: Uint8Array): Json | undefined {
  try {
    return parseObject(content);
  } catch {
    return undefined;
  }
}

/** By what it says, else by its shape. */
function storedMediaType(content: Uint8Array): string {
  const json = readFields(content);
  if (json === undefined) return 'application/octet-stream';
  if (typeof json.mediaType === 'string' && isMediaType(json.mediaType)) return json.mediaType;
  if (json.schemaVersion !== 1) return json.manifests === undefined ? mediaTypes.ociManifest : mediaTypes.ociIndex;
  return `application/vnd.docker.distribution.manifest.v1+${json.signatures === undefined ? 'json' : 'prettyjws'}`;
}

const nothing = {
  kind: undefined,
  blobs: [],
  manifests: [],
  subject: undefined,
  artifactType: undefined,
  annotations: undefined,
} satisfies Omit<ManifestInfo, 'mediaType'>;

/** Levels of a manifest; those of the specifications have five. */
const maxDepth = 100;

/**
 * Whether a text has more open brackets at once than any manifest needs. JSON.parse takes a second for four million of
 * them, and during that nobody else is served.
 */
function isTooDeep(content: Uint8Array): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < content.length; index++) {
    const byte = content[index];
    if (inString) {
      if (byte === 0x5c) index++;
      else if (byte === 0x22) inString = false;
    } else if (byte === 0x22) {
      inString = true;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > maxDepth) return true;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth--;
    }
  }
  return false;
}

function parseObject(content: Uint8Array): Json {
  if (isTooDeep(content)) throw invalid(`manifest is nested deeper than ${maxDepth} levels`);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content));
  } catch (cause) {
    throw new RegistryError('MANIFEST_INVALID', { message: 'manifest is not JSON in UTF-8', cause });
  }
  if (!isObject(json)) throw invalid('manifest is not a JSON object');
  return json;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Nothing but the manifest keeps its type, so what is stored must say it: in `mediaType`, or by the shape of an OCI
 * image manifest or index.
 */
function mediaTypeOf(json: Json, contentType: string | undefined): string {
  const own = json.mediaType;
  if (own !== undefined && (typeof own !== 'string' || !isMediaType(own)))
    throw invalid('mediaType is not a media type');
  const stored = own ?? (json.manifests !== undefined ? mediaTypes.ociIndex : mediaTypes.ociManifest);
  if (contentType === undefined || contentType === stored || contentType === stored.toLowerCase()) return stored;
  if (own !== undefined) throw invalid(`Content-Type ${contentType} differs from mediaType ${own}`);
  throw invalid(`Content-Type is ${contentType}, but the manifest has no mediaType or another shape`);
}

function descriptorOf(value: unknown, where: string): Descriptor {
  if (!isObject(value)) throw invalid(`${where} must be a descriptor`);
  if (typeof value.mediaType !== 'string' || value.mediaType === '') throw invalid(`${where} has no mediaType`);
  const digest = typeof value.digest === 'string' ? tryParseDigest(value.digest) : undefined;
  if (digest === undefined) throw invalid(`${where} has no valid digest`, { digest: value.digest ?? null });
  if (!Number.isSafeInteger(value.size) || (value.size as number) < 0) throw invalid(`${where} has no valid size`);
  const annotations = annotationsOf(value.annotations, `${where}.annotations`);
  return {
    mediaType: value.mediaType,
    digest,
    size: value.size as number,
    ...(typeof value.artifactType === 'string' && { artifactType: value.artifactType }),
    ...(annotations && { annotations }),
    ...(isStrings(value.urls) && { urls: value.urls }),
  };
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** Go clients write an empty list as null; where `optional`, they leave it out. */
function descriptorsOf(value: unknown, where: string, optional = false): Descriptor[] {
  if (value === null || (optional && value === undefined)) return [];
  if (!Array.isArray(value)) throw invalid(`${where} must be a list of descriptors`);
  return value.map((item, index) => descriptorOf(item, `${where}[${index}]`));
}

function childrenOf(value: unknown): ChildDescriptor[] {
  const children = descriptorsOf(value, 'manifests');
  return children.map((child, index) => {
    const platform: unknown = (value as Json[])[index]?.platform;
    if (!isObject(platform)) return child;
    const { os, architecture, variant } = platform;
    if (typeof os !== 'string' || typeof architecture !== 'string') return child;
    return { ...child, platform: { os, architecture, ...(typeof variant === 'string' && { variant }) } };
  });
}

/** Null counts as absent. */
function annotationsOf(value: unknown, where: string): Record<string, string> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value) || !Object.values(value).every((item) => typeof item === 'string')) {
    throw invalid(`${where} must be a map of strings`);
  }
  return value as Record<string, string>;
}
