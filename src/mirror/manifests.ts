import { LRUCache } from 'lru-cache';
import { manifestTypes } from '../oci/media-type.ts';
import type { Tag } from '../oci/name.ts';
import { isDigest, type Reference } from '../oci/reference.ts';
import type { Manifest, Registry, Repository } from '../registry/registry.ts';
import { allowsStale, registryError, staleWarning, unlessUnknown } from './faults.ts';
import type { Mark, Marks } from './marks.ts';
import type { Mirrored } from './naming.ts';
import { answerTime, maxRefused, type Question, Questions } from './questions.ts';
import type { UpstreamSlots } from './slots.ts';
import { untilAborted } from './until-aborted.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, MirrorFault, Upstream } from './upstream.ts';

export interface MirroredManifestsOptions {
  readonly store: Registry;
  readonly marks: Marks;
  /** For questions. */
  readonly slots: UpstreamSlots;
  readonly now: () => number;
  readonly onEvent: (event: MirrorEvent) => void;
  readonly onFault: (fault: MirrorFault) => void;
}

type Answer = { readonly manifest: Manifest; readonly outcome: MirrorEvent['outcome']; readonly error?: unknown };

/** Answers for the manifests of upstreams: from the storage while that is known to be right, else from the upstream. */
export class MirroredManifests {
  readonly #options: MirroredManifestsOptions;
  readonly #questions: Questions<Answer>;
  readonly #refused = new LRUCache<string, { error: unknown }>({ max: maxRefused, ttl: answerTime });

  constructor(options: MirroredManifestsOptions) {
    this.#options = options;
    this.#questions = new Questions(options.slots, options.now);
  }

  /** @throws RegistryError MANIFEST_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE */
  async get(mirrored: Mirrored<Upstream>, reference: Reference, signal?: AbortSignal): Promise<Manifest> {
    const { upstream, local } = mirrored;
    const kept = await unlessUnknown(this.#storeOf(mirrored).manifests.get(reference, signal), 'MANIFEST_UNKNOWN');
    const { manifest, ...event } = await this.#answer(mirrored, reference, kept, signal);
    const { descriptor } = manifest;
    const { name } = upstream;
    this.#options.onEvent({ ...event, kind: 'manifest', upstream: name, repository: local, reference, descriptor });
    const { outcome } = event;
    return {
      ...manifest,
      mirroring: { upstream: name, outcome },
      ...(outcome === 'stale' && { warning: staleWarning(name) }),
    };
  }

  async #answer(
    mirrored: Mirrored<Upstream>,
    reference: Reference,
    kept: Manifest | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    if (kept !== undefined && (isDigest(reference) || (await this.#isFresh(mirrored, reference)))) {
      return { manifest: kept, outcome: 'hit' };
    }
    const refused = this.#refused.get(keyOf(mirrored, reference));
    if (refused !== undefined) return this.#instead(mirrored, reference, kept, refused.error);
    const question = this.#ask(mirrored, reference, kept);
    if (kept === undefined) return question.answer(signal);
    return question.heardBy(async (answer) => {
      const { patience, name } = mirrored.upstream;
      const left = patience - (this.#options.now() - question.since);
      if ((await isSettledWithin(answer, left, signal)) || !(await this.#mayBeStale(mirrored, reference))) {
        return untilAborted(answer, signal);
      }
      question.goOn();
      return { manifest: kept, outcome: 'stale', error: new Error(`${name} has not answered within ${patience} ms`) };
    });
  }

  #storeOf({ local }: Mirrored<Upstream>): Repository {
    return this.#options.store.repository(local);
  }

  async #isFresh({ upstream, local }: Mirrored<Upstream>, tag: Tag): Promise<boolean> {
    const mark = await this.#options.marks.get(local, tag);
    return mark !== undefined && this.#age(mark) < upstream.revalidate;
  }

  /** Of one from the future, as clocks differ, how far it is away. */
  #age({ checked }: Mark): number {
    return Math.abs(this.#options.now() - checked);
  }

  #ask(mirrored: Mirrored<Upstream>, reference: Reference, kept: Manifest | undefined): Question<Answer> {
    const key = keyOf(mirrored, reference);
    return this.#questions.of(mirrored.upstream.name, key, async (signal) => {
      try {
        return await this.#fetch(mirrored, reference, kept, signal);
      } catch (error) {
        const isMissing = isUpstreamError(error, 'missing');
        if (isMissing || isUpstreamError(error, 'denied')) this.#refused.set(key, { error });
        // Else it would come back when the upstream is down.
        if (isMissing && kept !== undefined) await this.#forget(mirrored, reference);
        return this.#instead(mirrored, reference, kept, error);
      }
    });
  }

  /** What there is in place of what the upstream did not give. @throws what clients are told */
  async #instead(
    mirrored: Mirrored<Upstream>,
    reference: Reference,
    kept: Manifest | undefined,
    error: unknown,
  ): Promise<Answer> {
    if (kept !== undefined && allowsStale(error) && (await this.#mayBeStale(mirrored, reference))) {
      return { manifest: kept, outcome: 'stale', error };
    }
    throw registryError(error, 'MANIFEST_UNKNOWN', { name: mirrored.local, reference });
  }

  async #mayBeStale(mirrored: Mirrored<Upstream>, reference: Reference): Promise<boolean> {
    if (isDigest(reference)) return true;
    const { upstream, local } = mirrored;
    const mark = await this.#options.marks.get(local, reference);
    if (mark !== undefined) return this.#age(mark) - upstream.revalidate < upstream.maxStale;
    // Of what another program has stored here nobody knows when it was right: its time begins now.
    try {
      await this.#mark(mirrored, reference, this.#options.now() - upstream.revalidate);
    } catch (error) {
      this.#failed(mirrored, reference, error);
    }
    return upstream.maxStale > 0;
  }

  /** What has come is kept in any case. */
  async #fetch(
    mirrored: Mirrored<Upstream>,
    reference: Reference,
    kept: Manifest | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { upstream, remote } = mirrored;
    if (!isDigest(reference)) {
      // Asking for the digest alone is what registries do not count.
      const descriptor = await upstream.client.headManifest(remote, reference, manifestTypes, signal);
      const known =
        descriptor.digest === kept?.descriptor.digest
          ? kept
          : await unlessUnknown(this.#storeOf(mirrored).manifests.get(descriptor.digest), 'MANIFEST_UNKNOWN');
      if (known !== undefined) {
        await this.#keep(mirrored, reference, known, known === kept);
        return { manifest: known, outcome: 'hit' };
      }
    }
    const manifest = await upstream.client.getManifest(remote, reference, manifestTypes, signal);
    await this.#keep(mirrored, reference, manifest);
    return { manifest, outcome: 'miss' };
  }

  /** A storage that takes nothing must not keep from clients what the upstream has. @param isKept whether all but the mark is there */
  async #keep(mirrored: Mirrored<Upstream>, reference: Reference, manifest: Manifest, isKept = false): Promise<void> {
    const { descriptor, content } = manifest;
    const { marks, now } = this.#options;
    try {
      if (!isKept) {
        await marks.claim(mirrored.local);
        await this.#storeOf(mirrored).manifests.put(reference, content, { mediaType: descriptor.mediaType });
      }
      if (!isDigest(reference)) await this.#mark(mirrored, reference, now());
    } catch (error) {
      this.#failed(mirrored, reference, error);
    }
  }

  async #forget(mirrored: Mirrored<Upstream>, reference: Reference): Promise<void> {
    if (isDigest(reference)) return;
    try {
      // What has no mark did not come from there: somebody has pushed it while the name was no mirror's.
      if ((await this.#options.marks.get(mirrored.local, reference)) === undefined) return;
      await unlessUnknown(this.#storeOf(mirrored).tags.delete(reference), 'MANIFEST_UNKNOWN');
    } catch (error) {
      this.#failed(mirrored, reference, error);
    }
  }

  #failed({ upstream, local }: Mirrored<Upstream>, reference: Reference, error: unknown): void {
    this.#options.onFault({ upstream: upstream.name, repository: local, reference, error });
  }

  #mark({ local }: Mirrored<Upstream>, tag: Tag, checked: number): Promise<void> {
    return this.#options.marks.put(local, tag, { checked });
  }
}

function keyOf({ local }: Mirrored<Upstream>, reference: Reference): string {
  return `${local} ${reference}`;
}

/** Whether a promise settles in time. @throws the reason of the signal */
async function isSettledWithin(
  promise: Promise<unknown>,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, milliseconds));
  });
  const settled = promise.then(
    () => true,
    () => true,
  );
  try {
    return await untilAborted(Promise.race([settled, late]), signal);
  } finally {
    clearTimeout(timer);
  }
}
