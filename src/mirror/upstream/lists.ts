import type { Descriptor } from '../../oci/descriptor.ts';
import { algorithmOf, type Digest, encodedOf } from '../../oci/digest.ts';
import { parseManifest } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import { parseTag, type RepositoryName, type Tag, tryParseTag } from '../../oci/name.ts';
import type { Endpoint, EndpointAnswer } from './endpoint.ts';

/** Which tags are wanted: those behind `last`, or what `next` of the page before says. */
export type TagsPage = { readonly n?: number; readonly last?: string } | { readonly next: string };

export interface Tags {
  /** In the order of the upstream; what is no tag is left out. */
  readonly tags: readonly Tag[];
  /** For the next page; undefined: there is none. */
  readonly next: string | undefined;
}

/** Pages of referrers that are read. */
const maxPages = 20;

/** @param limit in bytes @throws UpstreamError */
export async function listTags(
  endpoint: Endpoint,
  repository: RepositoryName,
  page: TagsPage,
  limit: number,
  signal?: AbortSignal,
): Promise<Tags> {
  const path = `tags/list${queryOf(page)}`;
  const answer = await endpoint.send({ method: 'GET', repository, path }, signal);
  const json = parse(await answer.bytes(limit));
  // Go writes an empty list as null.
  const tags = json === null ? undefined : (json.tags ?? []);
  if (!Array.isArray(tags)) throw answer.error('invalid', 'no list of tags');
  const known = tags.map((tag) => (typeof tag === 'string' ? tryParseTag(tag) : undefined));
  return { tags: known.filter((tag) => tag !== undefined), next: nextOf(answer) };
}

/**
 * What has `digest` as its subject (distribution-spec, "Listing Referrers").
 *
 * @param limit of all pages together, in bytes
 * @throws UpstreamError; `missing` where the endpoint does not know this
 */
export async function listReferrers(
  endpoint: Endpoint,
  repository: RepositoryName,
  digest: Digest,
  limit: number,
  signal?: AbortSignal,
): Promise<readonly Descriptor[]> {
  const all: Descriptor[] = [];
  let left = limit;
  let query: string | undefined = '';
  for (let page = 0; query !== undefined && page < maxPages; page++) {
    const path: string = `referrers/${digest}${query}`;
    const headers = { accept: mediaTypes.ociIndex };
    const answer: EndpointAnswer = await endpoint.send({ method: 'GET', repository, path, headers }, signal);
    const content = await answer.bytes(left);
    left -= content.length;
    all.push(...descriptorsIn(content, answer));
    query = nextOf(answer);
  }
  return all;
}

/** The tag that has the list where there is no API for it (distribution-spec, "Referrers Tag Schema"). */
export function referrersTag(digest: Digest): Tag {
  return parseTag(`${algorithmOf(digest)}-${encodedOf(digest).slice(0, 64)}`);
}

/** @throws UpstreamError `invalid` */
function descriptorsIn(content: Buffer, answer: EndpointAnswer): readonly Descriptor[] {
  try {
    const { kind, manifests } = parseManifest(content);
    if (kind === 'index') return manifests;
  } catch {
    // Said below.
  }
  throw answer.error('invalid', 'no list of referrers');
}

function queryOf(page: TagsPage): string {
  if ('next' in page) return page.next;
  const query = new URLSearchParams();
  if (page.n !== undefined) query.set('n', String(page.n));
  if (page.last !== undefined) query.set('last', page.last);
  return query.size === 0 ? '' : `?${query}`;
}

/**
 * The query of the next page, from `Link` (RFC 8288). Of its URL only that is taken, as some registries have a mark of their
 * own in it; where to ask, nobody else says.
 */
function nextOf({ headers }: EndpointAnswer): string | undefined {
  const target = /<([^>]*)>\s*;[^,<]*\brel="?next\b/i.exec(headers.link ?? '')?.[1];
  if (target === undefined || !URL.canParse(target, 'http://upstream')) return undefined;
  return new URL(target, 'http://upstream').search || undefined;
}

function parse(content: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    const json: unknown = JSON.parse(content.toString('utf8'));
    return typeof json === 'object' ? (json as Readonly<Record<string, unknown>> | null) : null;
  } catch {
    return null;
  }
}
