import type { Descriptor } from '../../oci/descriptor.ts';
import { parseDigest } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import { type Part, parseRange } from '../../oci/range.ts';
import type { StreamBody } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import { contentRange, multipart } from './byte-ranges.ts';
import { entityTag, isCached, notModified } from './conditional.ts';
import type { Handler } from './services.ts';

/** A digest never means anything else, so a client may keep what it has for a year. */
const cacheControl = 'max-age=31536000';

/** Parts of one request; containers/image asks for up to 1024. Whoever wants more gets the whole blob. */
const maxParts = 1024;

function headersOf({ digest, mediaType }: Descriptor) {
  return {
    'Content-Type': mediaType,
    'Docker-Content-Digest': digest,
    'Accept-Ranges': 'bytes',
    ETag: entityTag(digest),
    'Cache-Control': cacheControl,
  };
}

export const headBlob: Handler<'blob'> = async (call) => {
  const { request, target } = call;
  const { blobs } = call.repository;
  const descriptor = await blobs.stat(parseDigest(target.digest), request.signal);
  const headers = headersOf(descriptor);
  if (isCached(request, descriptor.digest)) return notModified(headers);
  return { status: 200, headers, body: { size: descriptor.size, open: unopened } };
};

export const getBlob: Handler<'blob'> = async (call) => {
  const { request, target } = call;
  const { blobs } = call.repository;
  const blob = await blobs.get(parseDigest(target.digest), request.signal);
  const headers = headersOf(blob.descriptor);
  if (isCached(request, blob.descriptor.digest)) return notModified(headers);

  const [part, ...others] = partsOf(request, blob.descriptor);
  if (part !== undefined && others.length === 0) {
    return {
      status: 206,
      headers: { ...headers, 'Content-Range': contentRange(part, blob.descriptor.size) },
      body: { size: part.end - part.start + 1, open: () => blob.open(part, request.signal) },
    };
  }
  const several = part && multipart(blob, headers, [part, ...others], request.signal);
  if (several !== undefined) return several;

  // A range that is void for us may not be so for the storage, to which the client would repeat it.
  const url = request.header('range') === undefined ? await blob.redirectUrl(request.signal) : undefined;
  // The content may be kept for ever, but the URL is good for a while only.
  if (url !== undefined) return { status: 307, headers: { ...headers, 'Cache-Control': 'no-store', Location: url } };
  return {
    status: 200,
    headers,
    body: { size: blob.descriptor.size, open: () => blob.open(undefined, request.signal) },
  };
};

export const deleteBlob: Handler<'blob'> = async (call) => {
  await call.repository.blobs.delete(parseDigest(call.target.digest));
  return { status: 202 };
};

const unopened: StreamBody['open'] = async () => {
  throw new TypeError('HEAD has no body to open');
};

/** The parts asked for; none: the whole blob. */
function partsOf(request: ApiRequest, { size, digest }: Descriptor): Part[] {
  const header = request.header('range');
  if (header === undefined || header.split(',', maxParts + 1).length > maxParts) return [];
  const condition = request.header('if-range');
  if (condition !== undefined && condition !== entityTag(digest)) return [];
  const parts = parseRange(header, size);
  if (parts === undefined) return [];
  if (parts.length === 0) throw new RegistryError('RANGE_INVALID', { headers: { 'Content-Range': `bytes */${size}` } });
  // Parts that overlap could add up to any multiple of the blob.
  const sum = parts.reduce((total, { start, end }) => total + end - start + 1, 0);
  return sum > size ? [] : parts;
}
