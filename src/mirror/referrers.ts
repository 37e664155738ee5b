import { LRUCache } from 'lru-cache';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { Referrers } from '../registry/registry.ts';
import { allowsStale, registryError, staleWarning } from './faults.ts';
import type { Mirrored } from './naming.ts';
import { answerTime, Questions } from './questions.ts';
import type { UpstreamSlots } from './slots.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, Upstream } from './upstream.ts';

/** How much of what upstreams have said is remembered, in bytes of JSON. */
const memory = 32 * 1024 * 1024;

export interface MirroredReferrersOptions {
  /** For questions. */
  readonly slots: UpstreamSlots;
  readonly onEvent: (event: MirrorEvent) => void;
}

/** What an upstream said: a list in byte order of the digest, or that it has none for us. */
type Answer = { readonly list: readonly Descriptor[] } | { readonly error: unknown };

/** What refers to the manifests of upstreams, as the upstream has it; what is kept, when it cannot be asked. */
export class MirroredReferrers {
  readonly #onEvent: (event: MirrorEvent) => void;
  readonly #questions: Questions<readonly Descriptor[]>;
  readonly #known = new LRUCache<string, Answer>({
    maxSize: memory,
    sizeCalculation: (answer) => ('list' in answer ? JSON.stringify(answer.list).length : 4_000),
    ttl: answerTime,
  });

  constructor({ slots, onEvent }: MirroredReferrersOptions) {
    this.#onEvent = onEvent;
    this.#questions = new Questions(slots);
  }

  list(mirrored: Mirrored<Upstream>, kept: Referrers): Referrers['list'] {
    const all = (subject: Digest, signal?: AbortSignal) => this.#all(mirrored, subject, signal);
    const onEvent = this.#onEvent;
    return async function* list(subject, artifactTypes, options = {}) {
      const { after, signal } = options;
      const { upstream, local } = mirrored;
      let found: readonly Descriptor[];
      try {
        found = await all(subject, signal);
      } catch (error) {
        if (!allowsStale(error)) throw registryError(error, 'NAME_UNKNOWN', { name: local });
        const event = { outcome: 'stale', kind: 'referrers', reference: subject } as const;
        onEvent({ ...event, upstream: upstream.name, repository: local, error });
        options.onWarning?.(staleWarning(upstream.name));
        yield* kept.list(subject, artifactTypes, options);
        return;
      }
      for (const descriptor of found) {
        const { digest, artifactType = '' } = descriptor;
        if (after !== undefined && digest <= after) continue;
        if (artifactTypes.length === 0 || artifactTypes.includes(artifactType)) yield descriptor;
      }
    };
  }

  /** @throws UpstreamError */
  async #all(mirrored: Mirrored<Upstream>, subject: Digest, signal?: AbortSignal): Promise<readonly Descriptor[]> {
    const { upstream, remote, local } = mirrored;
    const key = `${local} ${subject}`;
    const known = this.#known.get(key);
    if (known !== undefined) {
      if ('error' in known) throw known.error;
      return known.list;
    }
    const ask = async (aborted: AbortSignal) => {
      try {
        const found = await upstream.client.listReferrers(remote, subject, aborted);
        const list = found.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
        this.#known.set(key, { list });
        return list;
      } catch (error) {
        if (isUpstreamError(error, 'missing') || isUpstreamError(error, 'denied')) this.#known.set(key, { error });
        throw error;
      }
    };
    return this.#questions.of(upstream.name, key, ask).answer(signal);
  }
}
