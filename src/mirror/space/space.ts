import { type StorageDriver, unlessMissing } from '../../../storage-drivers/driver.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { layout } from '../../registry/layout.ts';
import type { Registry } from '../../registry/registry.ts';
import type { MirrorEvent } from '../upstream.ts';
import { createAccountedStore } from './accounted-store.ts';
import { Eviction } from './eviction.ts';
import { Journal } from './journal.ts';
import { Ledger } from './ledger.ts';
import type { Link } from './records.ts';
import { type Coming, type EvictionReason, Room } from './room.ts';
import { survey } from './survey.ts';
import { createTerritory, type Territory } from './territory.ts';

export interface SpaceOptions {
  readonly driver: StorageDriver;
  /** What the mirror keeps its content in. */
  readonly store: Registry;
  /** Of all upstreams: what is not below one is hosted. */
  readonly prefixes: readonly string[];
  /** Whether a repository below one of them is the mirror's; else it is hosted, too. */
  readonly isClaimed: (name: RepositoryName) => Promise<boolean>;
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
      readonly reason: EvictionReason;
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

/** How long a redirect may be under way, in milliseconds. */
const redirectTime = 60_000;

/** Between two times that the journals are written and read, in milliseconds: others know within twice that. */
const journalInterval = 10_000;

/** Between two looks for what is too old, at most, in milliseconds. */
const ageInterval = 60_000;

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
  readonly #room: Room;
  readonly #stopping = new AbortController();
  #saidFull = Number.NEGATIVE_INFINITY;
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
    this.#territory = createTerritory(options.prefixes, options.isClaimed);
    this.#journal = new Journal(driver, this.#ledger);
    this.#eviction = new Eviction({
      driver,
      store,
      territory: this.#territory,
      ledger: this.#ledger,
      now,
      onRestore: (digest) => onEvent({ type: 'restored', digest }),
    });
    const { maxSize = Number.POSITIVE_INFINITY, isPinned, redirect } = options;
    this.#room = new Room({
      ledger: this.#ledger,
      eviction: this.#eviction,
      maxSize,
      isPinned,
      quiet: redirect ? redirectTime : 0,
      now,
      signal: this.#stopping.signal,
      onEvict: (reason, evicted) => onEvent({ type: 'evicted', reason, ...evicted, left: this.#ledger.bytes }),
      onFull: () => this.#sayFull(maxSize),
      onFault: (error) => this.#broken(error),
      onFinishing: (finished) => this.#run(() => finished.catch((error: unknown) => this.#broken(error))),
    });
    this.store = createAccountedStore(store, {
      room: this.#room,
      onStore: (descriptor, link) => this.#stored(descriptor, link),
      onLink: (descriptor, link) => this.#linked(descriptor, link),
    });
  }

  /** Bytes that mirrors have, without what is on its way. */
  get bytes(): number {
    return this.#room.bytes;
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
  used({ outcome, kind, repository, descriptor }: MirrorEvent): void {
    if (descriptor === undefined || kind === 'tags' || kind === 'referrers') return;
    const { digest, size } = descriptor;
    const entry = this.#ledger.get(digest);
    if (entry !== undefined) entry.used = this.#now();
    // What is not there yet is known when it is stored.
    else if (outcome === 'miss') return;
    else this.#ledger.note({ digest, size, used: this.#now(), stored: undefined, links: [{ kind, repository }] });
    this.#journal.changed(digest);
  }

  /** A download has begun. */
  coming(download: Coming): void {
    this.#room.coming(download);
  }

  /** It has ended. */
  came(download: Coming): void {
    this.#room.came(download);
  }

  /** Evicts what nobody has asked for within `maxAge`. */
  async evictOld(): Promise<void> {
    const { maxAge } = this.#options;
    if (maxAge !== undefined) await this.#room.evictUnused(this.#now() - maxAge);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#stopping.abort();
    await Promise.allSettled([this.#surveyed, this.#room.settled(), ...this.#running]);
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
    this.#room.retry();
    const { maxAge } = this.#options;
    if (maxAge === undefined || this.#now() - this.#agedAt < Math.min(ageInterval, maxAge / 4)) return;
    this.#agedAt = this.#now();
    await this.#guarded(() => this.evictOld());
  }

  async #guarded(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      this.#fault(error);
    }
  }

  /** An eviction has failed, and may have left something aside. */
  #broken(error: unknown): void {
    this.#toRecover = true;
    this.#fault(error);
  }

  #sayFull(maxSize: number): void {
    if (this.#now() - this.#saidFull < fullInterval) return;
    this.#saidFull = this.#now();
    this.#options.onEvent({ type: 'full', bytes: this.bytes, maxSize });
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

  /** With the date that it has in the storage: who finds another one there knows that somebody else has stored it. */
  async #stored({ digest, size }: Descriptor, link: Link): Promise<void> {
    const stat = await unlessMissing(this.#options.driver.stat(layout.blobData(digest)));
    this.#room.landed(digest);
    this.#ledger.note({ digest, size, used: this.#now(), stored: stat?.modified?.getTime(), links: [link] });
    this.#journal.changed(digest);
    this.#room.make();
  }

  #linked({ digest, size }: Descriptor, link: Link): void {
    this.#ledger.note({ digest, size, used: this.#now(), stored: undefined, links: [link] });
    this.#journal.changed(digest);
  }
}
