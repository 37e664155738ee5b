import { type StorageDriver, unlessMissing } from '../../../storage-drivers/driver.ts';
import { type Digest, digestOf } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { layout } from '../../registry/layout.ts';
import type { Registry } from '../../registry/registry.ts';
import type { MirrorEvent } from '../upstream.ts';
import { Eviction } from './eviction.ts';
import { Journal } from './journal.ts';
import { type Entry, Ledger } from './ledger.ts';
import type { Link } from './records.ts';
import { survey } from './survey.ts';
import { createTerritory, type Territory } from './territory.ts';

export interface SpaceOptions {
  readonly driver: StorageDriver;
  /** What the mirror keeps its content in. */
  readonly store: Registry;
  /** Of all upstreams: whatever is below them is a mirror's, and nothing else is. */
  readonly prefixes: readonly string[];
  /** Bytes that the mirrors may have, those aside that hosted repositories have too. */
  readonly maxSize?: number | undefined;
  /** How long what nobody asks for is kept, in milliseconds. */
  readonly maxAge?: number | undefined;
  /** Whether nothing of a repository is ever evicted. */
  readonly isPinned: (name: RepositoryName) => boolean;
  /** Whether clients are sent to the storage, and so come there a while after they have asked here. */
  readonly redirect: boolean;
  /** When content was to go by the books of another program; asked once, see `scheduler-state.ts`. Heeded with `maxAge`. */
  readonly expiries?: (() => Promise<ReadonlyMap<Digest, Date>>) | undefined;
  readonly onEvent: (event: SpaceEvent) => void;
  readonly now?: () => number;
}

/** What became of the space, for the log and for metrics. */
export type SpaceEvent =
  /** Some content has gone. `hosted`: stayed, as a hosted repository has it too. `left`: bytes that there are now. */
  | {
      readonly type: 'evicted';
      readonly reason: 'size' | 'age';
      readonly count: number;
      readonly bytes: number;
      readonly hosted: number;
      readonly left: number;
    }
  /** There is more than there may be, and nothing that may go. */
  | { readonly type: 'full'; readonly bytes: number; readonly maxSize: number }
  /** The storage was gone through. */
  | { readonly type: 'surveyed'; readonly count: number; readonly bytes: number }
  /** A hosted repository came to share it just as it was evicted: it is back. */
  | { readonly type: 'restored'; readonly digest: Digest }
  | { readonly type: 'fault'; readonly error: unknown };

/** Parts of `maxSize`: from the first one on room is made in the background, down to the second one. */
const highWater = 0.98;
const lowWater = 0.95;

/** Entries that are evicted together: to look through what is hosted costs the same for few. */
const batchSize = 2_000;

/** How long a redirect may be under way, in milliseconds. */
const redirectTime = 60_000;

/** Between two times that the journals are written and read, in milliseconds: others know within twice that. */
const journalInterval = 10_000;

/** Between two looks for what is too old, at most, in milliseconds. */
const ageInterval = 60_000;

/** How often others are looked for when of a batch nothing could go. */
const maxAttempts = 5;

/** How often it is said that there is no room, at most, in milliseconds. */
const fullInterval = 60_000;

/** Between two surveys, in milliseconds: they find what other programs have stored or deleted. */
const surveyInterval = 24 * 3_600_000;

/** How long after a survey that failed the next one begins, in milliseconds. */
const retryInterval = 60_000;

/** Keeps what mirrors have within its bounds: what was not asked for the longest goes first. */
export class Space {
  /** The store, through which the mirror has to keep its content. */
  readonly store: Registry;
  readonly #options: SpaceOptions;
  readonly #now: () => number;
  readonly #ledger = new Ledger();
  readonly #territory: Territory;
  readonly #journal: Journal;
  readonly #eviction: Eviction;
  /** Sizes of what is on its way, and of what is just being stored. */
  readonly #coming = new Map<Digest, number>();
  readonly #landing = new Map<Digest, number>();
  readonly #stopping = new AbortController();
  /** Bytes that are being evicted, and take their place yet. */
  #leaving = 0;
  #batch: Promise<boolean> | undefined;
  #making: Promise<void> | undefined;
  /** No room was found, and nothing has changed since. */
  #stuck = false;
  #saidFull = Number.NEGATIVE_INFINITY;
  /** Woken when something has been stored. */
  #waiting: (() => void)[] = [];
  #agedAt = 0;
  #toRecover = true;
  #loading: Promise<void> = Promise.resolve();
  /** Whether what was written before is known: only then may it be written anew. */
  #loaded = false;
  #expiries: ReadonlyMap<Digest, Date> | undefined;
  #surveyedAt = Number.NEGATIVE_INFINITY;
  #surveyed: Promise<void> = Promise.resolve();
  #timers: NodeJS.Timeout[] = [];
  readonly #running = new Set<Promise<void>>();

  /** Does nothing yet. @throws TypeError when the storage cannot move objects */
  constructor(options: SpaceOptions) {
    const { driver, store, now = Date.now, onEvent } = options;
    this.#options = options;
    this.#now = now;
    this.#territory = createTerritory(options.prefixes);
    this.#journal = new Journal(driver, this.#ledger);
    this.#eviction = new Eviction({
      driver,
      store,
      territory: this.#territory,
      ledger: this.#ledger,
      now,
      onRestore: (digest) => onEvent({ type: 'restored', digest }),
    });
    this.store = this.#accounted(store);
  }

  /** Bytes that mirrors have, without what is on its way. */
  get bytes(): number {
    return this.#ledger.bytes + this.#leaving;
  }

  /** How much content that is. */
  get count(): number {
    return this.#ledger.count;
  }

  /** Begins to work, in the background. The storage must be there. */
  start(): void {
    this.#loading = this.#guarded(() => this.#load());
    this.#surveyed = this.#loading.then(() => this.#guarded(() => this.#survey())).then(() => this.#tick());
    this.#every(journalInterval, () => this.#tick());
    this.#every(retryInterval, () => this.#survey());
  }

  /** Resolves when all that there was at the start is known. */
  async started(): Promise<void> {
    await this.#surveyed;
  }

  /** Somebody has asked a mirror for something. */
  used({ outcome, kind, repository, descriptor: { digest, size } }: MirrorEvent): void {
    const entry = this.#ledger.get(digest);
    if (entry !== undefined) entry.used = this.#now();
    // What is not there yet is known when it is stored.
    else if (outcome === 'miss') return;
    else this.#ledger.note({ digest, size, used: this.#now(), stored: undefined, links: [{ kind, repository }] });
    this.#journal.changed(digest);
  }

  /** A download has begun. */
  coming(digest: Digest, size: number): void {
    this.#coming.set(digest, size);
    this.#makeRoom();
  }

  /** It has ended. */
  came(digest: Digest): void {
    this.#coming.delete(digest);
    this.#stuck = false;
  }

  /** Evicts what nobody has asked for within `maxAge`. */
  async evictOld(): Promise<void> {
    const { maxAge } = this.#options;
    if (maxAge === undefined) return;
    const before = this.#now() - maxAge;
    for (;;) {
      const old = this.#candidates(before).slice(0, batchSize);
      if (old.length === 0 || !(await this.#evict(old, 'age'))) return;
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#stopping.abort();
    await Promise.allSettled([this.#surveyed, this.#making, this.#batch, ...this.#running]);
    if (this.#loaded) await this.#guarded(() => this.#journal.writeWhole());
  }

  async #load(): Promise<void> {
    await this.#journal.load();
    this.#loaded = true;
  }

  /** Goes through the storage, if that was not done for a while. */
  async #survey(): Promise<void> {
    const { driver, maxAge, expiries, onEvent } = this.#options;
    if (this.#now() - this.#surveyedAt < surveyInterval) return;
    this.#expiries ??= (await expiries?.()) ?? new Map();
    const dates = this.#expiries;
    await survey({
      driver,
      territory: this.#territory,
      ledger: this.#ledger,
      usedOf: (digest) => {
        const expiry = dates.get(digest);
        return expiry === undefined || maxAge === undefined ? undefined : Math.max(0, expiry.getTime() - maxAge);
      },
      signal: this.#stopping.signal,
    });
    this.#surveyedAt = this.#now();
    // They are in the ledger now.
    this.#expiries = new Map();
    this.#toRecover = true;
    onEvent({ type: 'surveyed', count: this.#ledger.count, bytes: this.#ledger.bytes });
  }

  /** What is done from time to time. */
  async #tick(): Promise<void> {
    if (this.#toRecover) {
      this.#toRecover = false;
      await this.#guarded(async () => {
        this.#toRecover = await this.#eviction.recover(this.#stopping.signal);
      });
    }
    await this.#guarded(async () => {
      if (!this.#loaded) return this.#load();
      await this.#journal.write();
      await this.#journal.follow();
    });
    this.#stuck = false;
    this.#makeRoom();
    const { maxAge } = this.#options;
    if (maxAge === undefined || this.#now() - this.#agedAt < Math.min(ageInterval, maxAge / 4)) return;
    this.#agedAt = this.#now();
    await this.#guarded(() => this.evictOld());
  }

  /** Makes room in the background, if there is little. */
  #makeRoom(): void {
    const { maxSize } = this.#options;
    if (maxSize === undefined || this.#making !== undefined || this.#stuck) return;
    if (this.#expected(maxSize) <= maxSize * highWater) return;
    this.#making = (async () => {
      while (this.#expected(maxSize) > maxSize * lowWater && !this.#stopping.signal.aborted) {
        if (!(await this.#evictSome(maxSize))) return;
      }
    })().finally(() => {
      this.#making = undefined;
    });
  }

  /** What there will be. Of what is on its way not more than a part counts: much of it may come late, or never. */
  #expected(maxSize: number): number {
    return this.bytes + sum(this.#landing) + Math.min(sum(this.#coming), maxSize * (1 - lowWater));
  }

  /** Stores something, as soon as there is room for it, or there will be none. */
  async #land<T>(digest: Digest, size: number, put: () => Promise<T>): Promise<T> {
    const { maxSize = Number.POSITIVE_INFINITY } = this.#options;
    while (this.bytes + sum(this.#landing) + size > maxSize) {
      if (!this.#stuck && (await this.#evictSome(maxSize, size))) continue;
      // What is being stored may go as soon as it is.
      if (this.#landing.size === 0) break;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#landing.set(digest, size);
    try {
      return await put();
    } finally {
      this.#landing.delete(digest);
      this.#stuck = false;
      for (const resolve of this.#waiting.splice(0)) resolve();
    }
  }

  /**
   * One batch, for all who wait for room.
   *
   * @param size of something that is waiting
   * @returns whether there is more room now than there was
   */
  #evictSome(maxSize: number, size = 0): Promise<boolean> {
    this.#batch ??= this.#evictLeastUsed(maxSize, size).finally(() => {
      this.#batch = undefined;
    });
    return this.#batch;
  }

  async #evictLeastUsed(maxSize: number, size: number): Promise<boolean> {
    const { redirect, onEvent } = this.#options;
    // What turns out to be in use is left alone, and others are looked for.
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const missing = this.bytes + sum(this.#landing) + size - maxSize;
      const wanted = Math.max(missing, this.#expected(maxSize) - maxSize * lowWater);
      const batch: Entry[] = [];
      let bytes = 0;
      for (const entry of this.#candidates(redirect ? this.#now() - redirectTime : Number.POSITIVE_INFINITY)) {
        if (bytes >= wanted || batch.length === batchSize) break;
        batch.push(entry);
        bytes += entry.size;
      }
      if (batch.length === 0 || this.#stopping.signal.aborted) break;
      if (await this.#evict(batch, 'size')) return true;
    }
    this.#stuck = true;
    if (this.bytes > maxSize && this.#now() - this.#saidFull > fullInterval) {
      this.#saidFull = this.#now();
      onEvent({ type: 'full', bytes: this.bytes, maxSize });
    }
    return false;
  }

  /** What may go and was last asked for before that, the longest ago first. */
  #candidates(before: number): Entry[] {
    const now = this.#now();
    const { isPinned } = this.#options;
    const entries: Entry[] = [];
    for (const entry of this.#ledger.entries()) {
      if (entry.hosted || entry.used >= before || entry.spared > now) continue;
      if (this.#coming.has(entry.digest) || this.#landing.has(entry.digest)) continue;
      let pinned = false;
      for (const { repository } of entry.links.values()) pinned ||= isPinned(repository);
      if (!pinned) entries.push(entry);
    }
    return entries.sort((a, b) => a.used - b.used);
  }

  /** @returns whether any of it has gone, or does not count any more */
  async #evict(batch: readonly Entry[], reason: 'size' | 'age'): Promise<boolean> {
    const { onEvent } = this.#options;
    let leaving = 0;
    const onLeave = ({ size }: Entry) => {
      leaving += size;
      this.#leaving += size;
    };
    try {
      const { finished, count, bytes, hosted, missing } = await this.#eviction.evict(
        batch,
        onLeave,
        this.#stopping.signal,
      );
      this.#run(() =>
        finished.catch((error: unknown) => {
          this.#toRecover = true;
          throw error;
        }),
      );
      if (count + hosted > 0) onEvent({ type: 'evicted', reason, count, bytes, hosted, left: this.#ledger.bytes });
      return count + hosted + missing > 0;
    } catch (error) {
      this.#fault(error);
      this.#toRecover = true;
      return false;
    } finally {
      this.#leaving -= leaving;
    }
  }

  async #guarded(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#fault(error);
    }
  }

  #fault(error: unknown): void {
    if (!this.#stopping.signal.aborted) this.#options.onEvent({ type: 'fault', error });
  }

  #every(interval: number, task: () => Promise<void>): void {
    let running = false;
    const run = async () => {
      if (running) return;
      running = true;
      await this.#loading;
      await this.#guarded(task);
      running = false;
    };
    this.#timers.push(setInterval(() => this.#run(run), interval).unref());
  }

  /** In the background, but not beyond the end. */
  #run(task: () => Promise<void>): void {
    const running = this.#guarded(task).then(() => void this.#running.delete(running));
    this.#running.add(running);
  }

  /** The store, which takes what is put when there is room, and then knows of it. */
  #accounted(store: Registry): Registry {
    return {
      ...store,
      repository: (name, namespace) => {
        const inner = store.repository(name, namespace);
        return {
          ...inner,
          uploads: {
            ...inner.uploads,
            put: (digest, body) =>
              this.#land(digest, this.#coming.get(digest) ?? 0, async () => {
                const descriptor = await inner.uploads.put(digest, body);
                await this.#stored(descriptor, { kind: 'blob', repository: name });
                return descriptor;
              }),
          },
          blobs: {
            ...inner.blobs,
            adopt: async (digest, prove) => {
              const descriptor = await inner.blobs.adopt(digest, prove);
              if (descriptor !== undefined) this.#linked(descriptor, { kind: 'blob', repository: name });
              return descriptor;
            },
          },
          manifests: {
            ...inner.manifests,
            put: (reference, content, options) =>
              this.#land(digestOf(content), content.length, async () => {
                const result = await inner.manifests.put(reference, content, options);
                await this.#stored(result.descriptor, { kind: 'manifest', repository: name });
                return result;
              }),
          },
        };
      },
    };
  }

  /** With the date that it has in the storage: who finds another one there knows that somebody else has stored it. */
  async #stored({ digest, size }: { digest: Digest; size: number }, link: Link): Promise<void> {
    const stat = await unlessMissing(this.#options.driver.stat(layout.blobData(digest)));
    this.#landing.delete(digest);
    this.#ledger.note({ digest, size, used: this.#now(), stored: stat?.modified?.getTime(), links: [link] });
    this.#journal.changed(digest);
    this.#makeRoom();
  }

  #linked({ digest, size }: { digest: Digest; size: number }, link: Link): void {
    this.#ledger.note({ digest, size, used: this.#now(), stored: undefined, links: [link] });
    this.#journal.changed(digest);
  }
}

function sum(sizes: ReadonlyMap<Digest, number>): number {
  let total = 0;
  for (const size of sizes.values()) total += size;
  return total;
}
