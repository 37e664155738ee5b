import type { Platform } from '../../oci/manifest.ts';
import { type RepositoryName, tryParseRepositoryName } from '../../oci/name.ts';
import { parseReference, type Reference } from '../../oci/reference.ts';
import { dockerHub, type Mirrored, type Names } from '../naming.ts';
import type { Upstream } from '../upstream.ts';
import { tryParsePlatform } from './platform.ts';

/** What is to be fetched ahead. */
export interface ListedImage {
  /** Of which upstream, and under which name. */
  readonly mirrored: Mirrored<Upstream>;
  readonly tags: { readonly reference: Reference } | { readonly pattern: RegExp };
  /** Undefined: all. */
  readonly platforms: readonly Platform[] | undefined;
}

/** A name of an image, or a list of them, that cannot be understood; says where. */
export class ImageListError extends Error {
  override readonly name = 'ImageListError';
  readonly code = 'IMAGE_LIST_INVALID';
}

/**
 * Reads a list: one image in each line, behind it the platforms if they are others than those of the whole list,
 * `quay.io/team/app:1.2 linux/amd64,linux/arm64`. What follows a `#` is a remark.
 *
 * @param source for messages: the name of the file
 * @throws ImageListError
 */
export function parseImageList(
  text: string,
  source: string,
  names: Names<Upstream>,
  platforms?: readonly Platform[],
): ListedImage[] {
  return text.split('\n').flatMap((line, index) => {
    const [image, own, ...more] = line.replace(/(?:^|\s)#.*/, '').match(/\S+/g) ?? [];
    if (image === undefined) return [];
    try {
      if (more.length > 0) throw new ImageListError('has more than an image and its platforms');
      return [parseImage(image, names, own === undefined ? platforms : parsePlatforms(own))];
    } catch (error) {
      if (!(error instanceof ImageListError)) throw error;
      throw new ImageListError(`${source}:${index + 1}: ${error.message}`);
    }
  });
}

/** `linux/amd64,linux/arm64`. @throws ImageListError */
export function parsePlatforms(text: string): Platform[] {
  return text.split(',').map((one) => parsePlatform(one, text));
}

/** @param given what it is in, for the error @throws ImageListError */
export function parsePlatform(text: string, given = text): Platform {
  const platform = tryParsePlatform(text);
  if (platform !== undefined) return platform;
  throw new ImageListError(`${text || given} is no platform such as linux/amd64 or linux/arm/v7`);
}

/**
 * Reads the name of an image as clients write it: `alpine`, `quay.io/team/app:1.2`, `ghcr.io/team/app@sha256:…`, or as it is
 * called here, under the prefix of an upstream. A tag with `*` in it means all that are like it. A name without a registry is one of
 * Docker Hub, or, when that is not mirrored, of the default upstream.
 *
 * @throws ImageListError
 */
export function parseImage(text: string, names: Names<Upstream>, platforms?: readonly Platform[]): ListedImage {
  const [, named = '', tag, digest] = /^(.*?)(?::([^:/@]+))?(?:@(.+))?$/.exec(text) ?? [];
  const mirrored = find(text, named, names);
  if (!mirrored.upstream.admits(mirrored.remote)) {
    throw new ImageListError(`${text}: mirror.upstreams does not allow this repository of ${mirrored.upstream.name}`);
  }
  return { mirrored, tags: tagsOf(text, tag, digest), platforms };
}

/** As it is kept, with its tag or digest: `docker.io/library/alpine:3.20`. */
export function formatImage({ local }: Mirrored<Upstream>, reference: Reference): string {
  return `${local}${reference.includes(':') ? '@' : ':'}${reference}`;
}

function find(text: string, named: string, names: Names<Upstream>): Mirrored<Upstream> {
  const slash = named.indexOf('/');
  const first = named.slice(0, Math.max(0, slash));
  const isHost = /[.:]/.test(first) || first === 'localhost';
  const found = isHost ? names.ofNamespace(first, nameOf(text, named.slice(slash + 1))) : undefined;
  if (found !== undefined) return found;
  const name = tryParseRepositoryName(named);
  const prefixed = name && names.ofPrefix(name);
  if (prefixed !== undefined) return prefixed;
  if (isHost) throw new ImageListError(`${text}: ${first} is not among mirror.upstreams`);
  const plain = nameOf(text, named);
  const byDefault = names.ofNamespace(dockerHub, plain) ?? names.ofDefault(plain);
  if (byDefault !== undefined) return byDefault;
  throw new ImageListError(`${text} names no registry, and docker.io is not among mirror.upstreams`);
}

function nameOf(text: string, name: string): RepositoryName {
  const parsed = tryParseRepositoryName(name);
  if (parsed !== undefined) return parsed;
  throw new ImageListError(`${text} is not the name of an image, such as docker.io/library/alpine:3.20`);
}

function tagsOf(text: string, tag = 'latest', digest: string | undefined): ListedImage['tags'] {
  if (digest === undefined && tag.includes('*')) return { pattern: patternOf(tag) };
  const reference = parse(digest ?? tag);
  if (reference !== undefined) return { reference };
  throw new ImageListError(`${text}: ${digest ?? tag} is neither a tag nor a digest`);
}

function parse(reference: string): Reference | undefined {
  try {
    return parseReference(reference);
  } catch {
    return undefined;
  }
}

function patternOf(tag: string): RegExp {
  const parts = tag.split('*').map((part) => part.replaceAll(/[^\w]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}
