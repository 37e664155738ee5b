import { LRUCache } from 'lru-cache';
import type { RepositoryName, Tag } from '../oci/name.ts';
import type { Tags } from '../registry/registry.ts';
import { allowsStale, registryError, staleWarning } from './faults.ts';
import type { Mirrored } from './naming.ts';
import { Questions } from './questions.ts';
import type { UpstreamSlots } from './slots.ts';
import { UpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, Upstream } from './upstream.ts';

/** Tags that are asked for at once, and pages that are read: no upstream may give them for ever. */
const pageSize = 1_000;
const maxPages = 500;

/** How long a list serves for the next pages of a client, in milliseconds, and how many tags are remembered: no list has more. */
const listTime = 60_000;
const memory = 500_000;

export interface MirroredTagsOptions {
  /** For questions. */
  readonly slots: UpstreamSlots;
  readonly onEvent: (event: MirrorEvent) => void;
}

/**
 * The tags of upstreams. As upstreams have them in an order of their own, and clients go by byte order, a list is read to its end
 * before the first tag of it is given, and remembered for the pages that follow.
 */
export class MirroredTags {
  readonly #onEvent: (event: MirrorEvent) => void;
  readonly #questions: Questions<readonly Tag[]>;
  readonly #lists = new LRUCache<RepositoryName, readonly Tag[]>({
    maxSize: memory,
    sizeCalculation: (tags) => tags.length + 1,
    ttl: listTime,
  });

  constructor({ slots, onEvent }: MirroredTagsOptions) {
    this.#onEvent = onEvent;
    this.#questions = new Questions(slots);
  }

  /** What the upstream has; what is kept, when it cannot be asked. */
  list(mirrored: Mirrored<Upstream>, kept: Tags): Tags['list'] {
    const all = (isFirst: boolean, signal?: AbortSignal) => this.#all(mirrored, isFirst, signal);
    const stale = (error: unknown) => {
      const { upstream, local } = mirrored;
      const event = { outcome: 'stale', kind: 'tags', reference: '' } as const;
      this.#onEvent({ ...event, upstream: upstream.name, repository: local, error });
    };
    return async function* list(options = {}) {
      const { after, signal, onWarning } = options;
      let tags: readonly Tag[];
      try {
        tags = await all(after === undefined, signal);
      } catch (error) {
        const fault = registryError(error, 'NAME_UNKNOWN', { name: mirrored.local });
        if (!allowsStale(error)) throw fault;
        // Told with the first one, as who wants a page only does not read to the end; and of a page with none.
        let isTold = false;
        const tell = () => {
          if (isTold) return;
          isTold = true;
          stale(error);
          onWarning?.(staleWarning(mirrored.upstream.name));
        };
        try {
          for await (const tag of kept.list(options)) {
            tell();
            yield tag;
          }
        } catch {
          throw fault;
        }
        tell();
        return;
      }
      for (const tag of tags) if (after === undefined || tag > after) yield tag;
    };
  }

  /** In byte order. @param isFirst whether the client has not begun yet to read it @throws UpstreamError */
  async #all(mirrored: Mirrored<Upstream>, isFirst: boolean, signal?: AbortSignal): Promise<readonly Tag[]> {
    const { local } = mirrored;
    const known = isFirst ? undefined : this.#lists.get(local);
    if (known !== undefined) return known;
    const question = this.#questions.of(mirrored.upstream.name, local, (aborted) => ask(mirrored, aborted));
    const tags = await question.answer(signal);
    this.#lists.set(local, tags);
    return tags;
  }
}

async function ask({ upstream, remote }: Mirrored<Upstream>, signal: AbortSignal): Promise<readonly Tag[]> {
  const { client, name } = upstream;
  const all = new Set<Tag>();
  let page = await client.listTags(remote, { n: pageSize }, signal);
  for (let count = 1; ; count++) {
    const before = all.size;
    for (const tag of page.tags) all.add(tag);
    // Tags have ASCII only.
    if (page.next === undefined) return [...all].sort();
    // One that gives the same page again does not stop by itself.
    if (count === maxPages || all.size > memory || (all.size === before && page.tags.length > 0)) {
      const info = { upstream: name, endpoint: '', request: `GET ${remote}/tags/list` };
      throw new UpstreamError('invalid', info, { reason: 'a list of tags without an end' });
    }
    page = await client.listTags(remote, { next: page.next }, signal);
  }
}
