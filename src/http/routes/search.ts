import type { Authorized } from '../../auth/access.ts';
import type { Registry } from '../../registry/registry.ts';
import { json, type Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import { readable } from './lists.ts';

/** What docker asks for when the user says nothing, and at most. */
const defaultResults = 25;
const maxResults = 100;

/** `GET /v1/_ping`: docker asks it before a search. "Standalone" would make it send an empty password. */
export async function pingV1(): Promise<Reply> {
  return json(200, { standalone: false }, { 'X-Docker-Registry-Standalone': 'false' });
}

/**
 * `GET /v1/search?q=…&n=…`, which `docker search HOST/term` and `podman search` use: repositories with the term in
 * their name, only those that the caller may pull. A wrong `n` is no reason to fail: docker would only show the status.
 */
export async function search(request: ApiRequest, registry: Registry, caller: Authorized): Promise<Reply> {
  const query = (request.parameter('q') ?? '').trim();
  const wanted = Number.parseInt(request.parameter('n') ?? '', 10);
  const size = wanted > 0 ? Math.min(wanted, maxResults) : defaultResults;
  const term = query.toLowerCase();
  const results = [];
  for await (const name of readable({ registry, caller, request })) {
    if (results.length === size) break;
    if (!name.includes(term)) continue;
    results.push({
      name,
      description: '',
      star_count: 0,
      is_official: false,
      is_automated: false,
      is_trusted: false,
    });
  }
  return json(200, { query, num_results: results.length, num_pages: 1, page: 1, page_size: size, results });
}
