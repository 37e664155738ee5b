import { RegistryError } from '../../oci/errors.ts';
import { withoutParameters } from '../../oci/media-type.ts';
import { parseTag, type Tag } from '../../oci/name.ts';
import { isDigest, parseReference, type Reference } from '../../oci/reference.ts';
import { wholeBody } from '../whole-body.ts';
import { entityTag, isCached, notModified } from './conditional.ts';
import type { Handler } from './services.ts';
import { warningHeader } from './warning.ts';

/** The size that a registry must take at least (distribution-spec, "Pushing manifests"), and that clients read at most. */
const maxSize = 4 * 1024 * 1024;

/** The specification asks for ten. */
const maxTags = 100;

export const getManifest: Handler<'manifest'> = async (call) => {
  const { request, target } = call;
  const { manifests } = call.repository;
  const isHead = request.method === 'HEAD';
  const { descriptor, content, warning } = await manifests.get(parseKnown(target.reference), request.signal, isHead);
  const headers = {
    'Content-Type': descriptor.mediaType,
    'Docker-Content-Digest': descriptor.digest,
    ETag: entityTag(descriptor.digest),
    ...warningHeader(warning),
  };
  if (isCached(request, descriptor.digest)) return notModified(headers);
  return { status: 200, headers, body: content };
};

export const putManifest: Handler<'manifest'> = async (call) => {
  const { request, target } = call;
  const { manifests, name } = call.repository;
  const reference = target.reference.includes(':') ? parseKnown(target.reference) : parseTag(target.reference);
  const tags = tagsOf(request.query, reference);
  const mediaType = withoutParameters(request.header('content-type'));
  const content = await wholeBody(request.body, maxSize, () => new RegistryError('MANIFEST_TOO_LARGE'));
  const { descriptor, subject } = await manifests.put(reference, content, { mediaType, tags });
  return {
    status: 201,
    headers: {
      Location: request.location(`/v2/${name}/manifests/${descriptor.digest}`),
      'Docker-Content-Digest': descriptor.digest,
      ...(subject !== undefined && { 'OCI-Subject': subject }),
      ...(tags.length > 0 && { 'OCI-Tag': tags }),
    },
  };
};

export const deleteManifest: Handler<'manifest'> = async (call) => {
  const { manifests, tags } = call.repository;
  const reference = parseKnown(call.target.reference);
  await (isDigest(reference) ? manifests.delete(reference) : tags.delete(reference));
  return { status: 202 };
};

/** A tag that cannot exist is one that does not exist. */
function parseKnown(text: string): Reference {
  const reference = parseReference(text);
  if (reference === undefined)
    throw new RegistryError('MANIFEST_UNKNOWN', { detail: { reference: text.slice(0, 300) } });
  return reference;
}

/** `?tag=` of a push by digest, each one once. */
function tagsOf(query: URLSearchParams, reference: Reference): Tag[] {
  const given = query.getAll('tag');
  if (given.length === 0) return [];
  if (!isDigest(reference)) {
    throw new RegistryError('TAG_INVALID', { message: 'the tag parameter needs a push by digest' });
  }
  if (given.length > maxTags)
    throw new RegistryError('TOO_MANY_TAGS', { message: `at most ${maxTags} tags in one push` });
  return [...new Set(given.map(parseTag))];
}
