import type { Digest } from '../../oci/digest.ts';
import type { Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';

export function entityTag(digest: Digest): string {
  return `"${digest}"`;
}

/** Whether `If-None-Match` names the content, quoted or not; weak or one of several. */
export function isCached(request: ApiRequest, digest: Digest): boolean {
  const header = request.header('if-none-match');
  if (header === undefined) return false;
  return header.split(',').some((item) => {
    const tag = item
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1');
    return tag === digest || tag === '*';
  });
}

export function notModified(headers: Reply['headers']): Reply {
  return { status: 304, ...(headers && { headers }) };
}
