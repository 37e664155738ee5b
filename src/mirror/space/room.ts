import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Eviction } from './eviction.ts';
import type { Entry, Ledger } from './ledger.ts';

export interface RoomOptions {
  readonly ledger: Ledger;
  readonly eviction: Eviction;
  /** In bytes. */
  readonly maxSize: number;
  readonly isPinned: (name: RepositoryName) => boolean;
  /** How long what was asked for stays in any case, in milliseconds. */
  readonly quiet: number;
  readonly now: () => number;
  /** Ends what is under way. */
  readonly signal: AbortSignal;
  readonly onEvict: (reason: EvictionReason, evicted: { count: number; bytes: number; hosted: number }) => void;
  /** There is more than there may be, and nothing that may go. */
  readonly onFull: () => void;
  readonly onFault: (error: unknown) => void;
  /** Is given what goes on behind an eviction. */
  readonly onFinishing: (finished: Promise<void>) => void;
}

export type EvictionReason = 'size' | 'age';

/**
 * Content that is on its way, as the same object from its beginning to its end: a download that was given up may end after the
 * next one of the same content has begun.
 */
export interface Coming {
  readonly digest: Digest;
  /** In bytes. */
  readonly size: number;
}

/** Parts of `maxSize`: from the first one on room is made in the background, down to the second one. */
const highWater = 0.98;
const lowWater = 0.95;

/** Entries that are evicted together: to look through what is hosted costs the same for few. */
const batchSize = 2_000;

/** How often others are looked for when of a batch nothing could go. */
const maxAttempts = 5;

/** Sees to it that there is room for what comes. */
export class Room {
  readonly #options: RoomOptions;
  readonly #coming = new Set<Coming>();
  /** Sizes of what is just being stored. */
  readonly #landing = new Map<Digest, number>();
  /** Bytes that are being evicted, and take their place yet. */
  #leaving = 0;
  #batch: Promise<boolean> | undefined;
  #making: Promise<void> | undefined;
  /** No room was found, and nothing has changed since. */
  #stuck = false;
  /** Woken when something has been stored. */
  #waiting: (() => void)[] = [];

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** That are there, without what is on its way. */
  get bytes(): number {
    return this.#options.ledger.bytes + this.#leaving;
  }

  /** Something is on its way. */
  coming(content: Coming): void {
    this.#coming.add(content);
    this.make();
  }

  /** It has come, or never will. */
  came(content: Coming): void {
    this.#coming.delete(content);
    this.#stuck = false;
  }

  /** Bytes of something that is on its way; undefined: nothing is known of it. */
  sizeOf(digest: Digest): number | undefined {
    for (const content of this.#coming) if (content.digest === digest) return content.size;
    return undefined;
  }

  /** Stores something, as soon as there is room for it, or there will be none. */
  async land<T>(digest: Digest, size: number, put: () => Promise<T>): Promise<T> {
    const { maxSize } = this.#options;
    while (this.bytes + sum(this.#landing.values()) + size > maxSize) {
      if (!this.#stuck && (await this.#evictSome(size))) continue;
      // What is being stored may go as soon as it is.
      if (this.#landing.size === 0) break;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#landing.set(digest, size);
    try {
      return await put();
    } finally {
      this.landed(digest);
      this.#stuck = false;
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }

  /** It is stored, and in the ledger from now on. */
  landed(digest: Digest): void {
    this.#landing.delete(digest);
  }

  /** What could not go may go now. */
  retry(): void {
    this.#stuck = false;
    this.make();
  }

  /** Makes room in the background, if there is little. */
  make(): void {
    const { maxSize, signal } = this.#options;
    if (this.#making !== undefined || this.#stuck || this.#expected() <= maxSize * highWater) return;
    this.#making = (async () => {
      while (this.#expected() > maxSize * lowWater && !signal.aborted) {
        if (!(await this.#evictSome())) return;
      }
    })().finally(() => {
      this.#making = undefined;
    });
  }

  /** Evicts what nobody has asked for since then. */
  async evictUnused(since: number): Promise<void> {
    for (;;) {
      const unused = this.#candidates(since).slice(0, batchSize);
      if (unused.length === 0 || !(await this.#evict(unused, 'age'))) return;
    }
  }

  /** Resolves when nothing is being evicted any more. */
  async settled(): Promise<void> {
    await Promise.all([this.#making, this.#batch]);
  }

  /** Bytes that there will be. Of what is on its way not more than a part counts: much of it may come late, or never. */
  #expected(): number {
    const coming = sum([...this.#coming].map(({ size }) => size));
    const counted = Math.min(coming, this.#options.maxSize * (1 - lowWater));
    return this.bytes + sum(this.#landing.values()) + counted;
  }

  /**
   * One batch, for all who wait for room.
   *
   * @param size of something that is waiting
   * @returns whether there is more room now than there was
   */
  #evictSome(size = 0): Promise<boolean> {
    this.#batch ??= this.#evictLeastUsed(size).finally(() => {
      this.#batch = undefined;
    });
    return this.#batch;
  }

  async #evictLeastUsed(size: number): Promise<boolean> {
    const { maxSize, quiet, now, signal, onFull } = this.#options;
    // What turns out to be in use is left alone, and others are looked for.
    for (let attempt = 0; attempt < maxAttempts && !signal.aborted; attempt += 1) {
      const missing = this.bytes + sum(this.#landing.values()) + size - maxSize;
      const wanted = Math.max(missing, this.#expected() - maxSize * lowWater);
      const batch: Entry[] = [];
      let bytes = 0;
      for (const entry of this.#candidates(quiet === 0 ? Number.POSITIVE_INFINITY : now() - quiet)) {
        if (bytes >= wanted || batch.length === batchSize) break;
        batch.push(entry);
        bytes += entry.size;
      }
      if (batch.length === 0) break;
      if (await this.#evict(batch, 'size')) return true;
    }
    this.#stuck = true;
    if (this.bytes > maxSize) onFull();
    return false;
  }

  /** What may go and was last asked for before that, the longest ago first. */
  #candidates(before: number): Entry[] {
    const { ledger, isPinned, now } = this.#options;
    const time = now();
    const entries: Entry[] = [];
    const coming = new Set([...this.#coming].map(({ digest }) => digest));
    for (const entry of ledger.entries()) {
      if (entry.hosted || entry.used >= before || entry.spared > time) continue;
      if (coming.has(entry.digest) || this.#landing.has(entry.digest)) continue;
      let pinned = false;
      for (const { repository } of entry.links.values()) pinned ||= isPinned(repository);
      if (!pinned) entries.push(entry);
    }
    return entries.sort((a, b) => a.used - b.used);
  }

  /** @returns whether any of it has gone, or does not count any more */
  async #evict(batch: readonly Entry[], reason: EvictionReason): Promise<boolean> {
    const { eviction, signal, onEvict, onFinishing, onFault } = this.#options;
    let leaving = 0;
    const onLeave = ({ size }: Entry) => {
      leaving += size;
      this.#leaving += size;
    };
    try {
      const { finished, count, bytes, hosted, missing } = await eviction.evict(batch, onLeave, signal);
      onFinishing(finished);
      if (count + hosted > 0) onEvict(reason, { count, bytes, hosted });
      return count + hosted + missing > 0;
    } catch (error) {
      onFault(error);
      return false;
    } finally {
      this.#leaving -= leaving;
    }
  }
}

function sum(sizes: Iterable<number>): number {
  let total = 0;
  for (const size of sizes) total += size;
  return total;
}
