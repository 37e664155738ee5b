import type { Descriptor } from '../../oci/descriptor.ts';
import { octetStream } from '../../oci/descriptor.ts';
import { algorithmOf, type Digest, digestOf, tryParseDigest } from '../../oci/digest.ts';
import { readStoredManifest } from '../../oci/manifest.ts';
import { isMediaType, isSchema1, withoutParameters } from '../../oci/media-type.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { isDigest, type Reference } from '../../oci/reference.ts';
import type { Manifest } from '../../registry/registry.ts';
import type { Endpoint, EndpointAnswer } from './endpoint.ts';
import { isUpstreamError } from './errors.ts';

export interface ManifestRequest {
  readonly repository: RepositoryName;
  readonly reference: Reference;
  /** Media types. */
  readonly accept: readonly string[];
  /** In bytes; what is longer is not taken. */
  readonly maxSize: number;
}

/** What a server calls JSON, or anything, when it does not look into it; the manifest itself then says what it is. */
const general = new Set([undefined, octetStream, 'application/json', 'text/plain']);

/**
 * A manifest, verified: its digest, that it is JSON, that it is what `Content-Type` says.
 *
 * @throws UpstreamError
 */
export async function getManifest(
  endpoint: Endpoint,
  request: ManifestRequest,
  signal?: AbortSignal,
): Promise<Manifest> {
  const { reference, maxSize } = request;
  const answer = await endpoint.send(requestOf(request), signal);
  const length = Number(answer.headers['content-length'] ?? 0);
  if (length > maxSize) {
    answer.body.destroy();
    throw answer.error('invalid', `a manifest of ${length} bytes, more than ${maxSize}`);
  }
  const content = await answer.bytes(maxSize);
  endpoint.received('manifest', content.length);
  const said = answer.headers['docker-content-digest'];
  const given = said === undefined ? undefined : tryParseDigest(said);
  if (said !== undefined && given === undefined)
    throw answer.error('invalid', 'its digest is none that can be verified');
  for (const digest of [given, isDigest(reference) ? reference : undefined]) {
    if (digest !== undefined && digestOf(content, algorithmOf(digest)) !== digest) {
      const isPage = withoutParameters(answer.headers['content-type']) === 'text/html';
      throw answer.error('invalid', isPage ? 'no manifest, but text/html' : `its content has not the digest ${digest}`);
    }
  }
  const digest = isDigest(reference) ? reference : (given ?? digestOf(content));
  const mediaType = mediaTypeOf(content, answer);
  return { descriptor: { mediaType, digest, size: content.length }, content };
}

/**
 * What a manifest is, by HEAD; by GET at an endpoint that does not know HEAD, or does not say enough (distribution-spec,
 * "Checking if content exists in the registry"; the header of the digest is optional in 1.1).
 *
 * @throws UpstreamError
 */
export async function headManifest(
  endpoint: Endpoint,
  request: ManifestRequest,
  signal?: AbortSignal,
): Promise<Descriptor> {
  const answer = await sendHead(endpoint, request, signal);
  const descriptor = answer === undefined ? undefined : describedBy(answer, request);
  return descriptor ?? (await getManifest(endpoint, request, signal)).descriptor;
}

/** @returns undefined when the endpoint does not know HEAD */
async function sendHead(endpoint: Endpoint, request: ManifestRequest, signal: AbortSignal | undefined) {
  try {
    const answer = await endpoint.send({ ...requestOf(request), method: 'HEAD' }, signal);
    answer.body.discard();
    return answer;
  } catch (error) {
    if (isUpstreamError(error, 'invalid') && [400, 405, 501].includes(error.status ?? 0)) return undefined;
    throw error;
  }
}

/** @returns undefined when headers do not say all of it */
function describedBy(answer: EndpointAnswer, { reference, maxSize }: ManifestRequest): Descriptor | undefined {
  const { headers } = answer;
  const digest = tryParseDigest(headers['docker-content-digest'] ?? '');
  const mediaType = withoutParameters(headers['content-type']);
  const length = headers['content-length'] ?? '';
  if (digest === undefined || !/^\d{1,15}$/.test(length)) return undefined;
  if (mediaType === undefined || general.has(mediaType) || !isMediaType(mediaType)) return undefined;
  if (isDigest(reference) && isOther(digest, reference))
    throw answer.error('invalid', `it has ${digest} in place of ${reference}`);
  const size = Number(length);
  if (size > maxSize) throw answer.error('invalid', `a manifest of ${size} bytes, more than ${maxSize}`);
  return { mediaType, digest: isDigest(reference) ? reference : digest, size };
}

/** By what the manifest itself says, or by its shape; `Content-Type` must not say anything else (CVE-2021-41190). */
function mediaTypeOf(content: Buffer, answer: EndpointAnswer): string {
  const own = readStoredManifest(content).mediaType;
  const said = withoutParameters(answer.headers['content-type']);
  // A page of a portal that wants to be clicked on, most likely.
  if (own === octetStream) throw answer.error('invalid', `no manifest, but ${said ?? 'something'} that is not JSON`);
  if (general.has(said) || said === own.toLowerCase()) return own;
  // Schema 1 is the same with and without a signature.
  if (said !== undefined && isSchema1(said) && isSchema1(own)) return said;
  throw answer.error('invalid', `its Content-Type is ${said?.slice(0, 100)}, its content is ${own}`);
}

/** Digests of different algorithms cannot be compared without the content. */
function isOther(digest: Digest, reference: Digest): boolean {
  return algorithmOf(digest) === algorithmOf(reference) && digest !== reference;
}

function requestOf({ repository, reference, accept }: ManifestRequest) {
  const headers = accept.length === 0 ? {} : { accept: accept.join(', ') };
  return { method: 'GET', repository, path: `manifests/${reference}`, headers } as const;
}
