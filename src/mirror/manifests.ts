import { LRUCache } from 'lru-cache';
import { RegistryError } from '../oci/errors.ts';
import { mediaTypes } from '../oci/media-type.ts';
import type { Tag } from '../oci/name.ts';
import { isDigest, type Reference } from '../oci/reference.ts';
import type { Manifest, Manifests, Registry } from '../registry/registry.ts';
import { allowsStale, registryError, unlessUnknown } from './faults.ts';
import type { Marks } from './marks.ts';
import type { Mirrored } from './naming.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, Upstream } from './upstream.ts';

export interface MirroredManifestsOptions {
  readonly store: Registry;
  readonly marks: Marks;
  readonly now: () => number;
  readonly onEvent: (event: MirrorEvent) => void;
}

/** All that there is: what a client does not understand it does not get through a mirror either. */
const accept = Object.values(mediaTypes);

/** How long an upstream is believed that has no such manifest, or does not let us in, in milliseconds. */
const negativeTime = 30_000;

type Answer = { readonly manifest: Manifest; readonly outcome: MirrorEvent['outcome']; readonly error?: unknown };

/** Answers for the manifests of upstreams: from the storage while that is known to be right, else from the upstream. */
export class MirroredManifests {
  readonly #options: MirroredManifestsOptions;
  /** By repository and reference: who asks while somebody asks hears the same. */
  readonly #asking = new Map<string, Promise<Answer>>();
  readonly #refused = new LRUCache<string, { error: unknown }>({ max: 10_000, ttl: negativeTime });

  constructor(options: MirroredManifestsOptions) {
    this.#options = options;
  }

  /** @throws RegistryError MANIFEST_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE */
  async get(mirrored: Mirrored<Upstream>, reference: Reference, signal?: AbortSignal): Promise<Manifest> {
    const { upstream, local } = mirrored;
    const kept = await unlessUnknown(this.#storeOf(mirrored).get(reference, signal), 'MANIFEST_UNKNOWN');
    const answer =
      kept !== undefined && (isDigest(reference) || (await this.#isFresh(mirrored, reference)))
        ? ({ manifest: kept, outcome: 'hit' } as const)
        : await this.#ask(mirrored, reference, kept);
    const { manifest, ...event } = answer;
    const { descriptor } = manifest;
    const { name } = upstream;
    this.#options.onEvent({ ...event, kind: 'manifest', upstream: name, repository: local, reference, descriptor });
    if (event.outcome !== 'stale') return manifest;
    return { ...manifest, warning: `${upstream.name} could not be asked; this is what it said before` };
  }

  #storeOf({ local }: Mirrored<Upstream>): Manifests {
    return this.#options.store.repository(local).manifests;
  }

  async #isFresh({ upstream, local }: Mirrored<Upstream>, tag: Tag): Promise<boolean> {
    const mark = await this.#options.marks.get(local, tag);
    return mark !== undefined && this.#options.now() - mark.checked < upstream.revalidate;
  }

  #ask(mirrored: Mirrored<Upstream>, reference: Reference, kept: Manifest | undefined): Promise<Answer> {
    const key = `${mirrored.local} ${reference}`;
    const running = this.#asking.get(key);
    if (running !== undefined) return running;
    const asking = this.#askUpstream(mirrored, reference, kept, key).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  async #askUpstream(
    mirrored: Mirrored<Upstream>,
    reference: Reference,
    kept: Manifest | undefined,
    key: string,
  ): Promise<Answer> {
    const { upstream, remote } = mirrored;
    if (!upstream.admits(remote)) {
      throw new RegistryError('MANIFEST_UNKNOWN', { message: `${upstream.name}/${remote} is not mirrored here` });
    }
    const refused = this.#refused.get(key);
    try {
      if (refused !== undefined) throw refused.error;
      // No signal: others may wait for the same, and what comes is kept for the next one in any case.
      return await this.#fetch(mirrored, reference, kept);
    } catch (error) {
      const refusal = isUpstreamError(error, 'missing') || isUpstreamError(error, 'denied');
      if (refusal && refused === undefined) this.#refused.set(key, { error });
      if (kept !== undefined && allowsStale(error) && (await this.#mayBeStale(mirrored, reference))) {
        return { manifest: kept, outcome: 'stale', error };
      }
      throw registryError(error, 'MANIFEST_UNKNOWN', { name: mirrored.local, reference });
    }
  }

  async #mayBeStale({ upstream, local }: Mirrored<Upstream>, reference: Reference): Promise<boolean> {
    if (isDigest(reference)) return true;
    const mark = await this.#options.marks.get(local, reference);
    const age = this.#options.now() - (mark?.checked ?? 0) - upstream.revalidate;
    // Of what another program has stored here nobody knows when it was right.
    return mark === undefined || age <= upstream.maxStale;
  }

  async #fetch(mirrored: Mirrored<Upstream>, reference: Reference, kept: Manifest | undefined): Promise<Answer> {
    const { upstream, remote } = mirrored;
    if (!isDigest(reference)) {
      // Asking for the digest alone is what registries do not count.
      const { descriptor } = await upstream.client.headManifest(remote, reference, accept);
      const known =
        descriptor.digest === kept?.descriptor.digest
          ? kept
          : await unlessUnknown(this.#storeOf(mirrored).get(descriptor.digest), 'MANIFEST_UNKNOWN');
      if (known !== undefined) {
        if (known !== kept) await this.#keep(mirrored, reference, known);
        await this.#mark(mirrored, reference);
        return { manifest: known, outcome: 'hit' };
      }
    }
    const manifest = await upstream.client.getManifest(remote, reference, accept);
    await this.#keep(mirrored, reference, manifest);
    if (!isDigest(reference)) await this.#mark(mirrored, reference);
    return { manifest, outcome: 'miss' };
  }

  async #keep(mirrored: Mirrored<Upstream>, reference: Reference, { descriptor, content }: Manifest): Promise<void> {
    await this.#storeOf(mirrored).put(reference, content, { mediaType: descriptor.mediaType });
  }

  #mark({ local }: Mirrored<Upstream>, tag: Tag): Promise<void> {
    return this.#options.marks.put(local, tag, { checked: this.#options.now() });
  }
}
