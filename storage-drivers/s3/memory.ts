/** Bytes that all uploads together should hold. Beyond it each waits until its own part is stored, and sends small parts. */
const budget = 32 * 1024 * 1024;

/** Bytes beyond which nobody is given more before somebody has stored what he holds. */
const limit = 2 * budget;

/** Down to this part of the limit, holders are made to store: some of it is then always on its way. */
const wanted = 0.75 * limit;

/** How long a holder gets nothing before it counts as idle, in milliseconds. */
const idleAfter = 3_000;

/** How often idle ones are looked for, in milliseconds. */
const sweepEvery = 250;

/** An upload that waits for bytes. */
export interface Holder {
  /** Bytes of memory that it could store now. */
  readonly held: number;
  /** When it was given bytes last, by the clock of {@link Memory}. */
  readonly lastUsed: number;
  /** Puts what it holds on its way to the storage, and gives the memory back when it is there. */
  putAside(): void;
}

/**
 * The memory of all uploads of a process. A client that stops sending leaves what it has sent in memory, and any number
 * of them may do so: whoever needs memory makes others store what they hold, those that are idle first of all.
 */
export class Memory {
  readonly #now: () => number;
  readonly #holders = new Set<Holder>();
  #inUse = 0;
  #nextSweep = 0;
  #waiters: (() => void)[] = [];
  #queue: Promise<void> = Promise.resolve();
  #exempt = 0;

  /** @param now in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get now(): number {
    return this.#now();
  }

  /** In bytes. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Whether uploads hold so much together that each should wait for its own storage. */
  get isScarce(): boolean {
    return this.#inUse > budget;
  }

  get isExhausted(): boolean {
    return this.#inUse > limit;
  }

  take(bytes: number): void {
    this.#inUse += bytes;
  }

  giveBack(bytes: number): void {
    this.#inUse -= bytes;
    this.#wake();
  }

  add(holder: Holder): void {
    this.#holders.add(holder);
  }

  remove(holder: Holder): void {
    this.#holders.delete(holder);
  }

  /** Resolves when more may be taken, in the order in which it was asked for; undefined: at once. */
  room(): Promise<void> | undefined {
    if (!this.isScarce) return undefined;
    this.#sweep();
    if (!this.isExhausted) return undefined;
    this.#queue = this.#queue.then(() => this.#untilThereIsSome());
    return this.#queue;
  }

  /**
   * For what takes memory so as to give some back: it does not wait for room, which might never come. While memory is
   * exhausted, one runs at a time.
   */
  async exempt<T>(task: () => Promise<T>): Promise<T> {
    while (this.isExhausted && this.#exempt > 0) await this.#change();
    this.#exempt += 1;
    try {
      return await task();
    } finally {
      this.#exempt -= 1;
      this.#wake();
    }
  }

  #sweep(): void {
    const now = this.#now();
    if (now < this.#nextSweep) return;
    this.#nextSweep = now + sweepEvery;
    for (const holder of this.#holders) {
      if (holder.held > 0 && now - holder.lastUsed > idleAfter) holder.putAside();
    }
  }

  /** The largest are stored first: that frees most with one request, and no small pieces are made of what goes on. */
  async #untilThereIsSome(): Promise<void> {
    while (this.isExhausted) {
      const largest = [...this.#holders].filter(({ held }) => held > 0).sort((a, b) => b.held - a.held);
      let held = largest.reduce((sum, each) => sum + each.held, 0);
      for (const holder of largest) {
        if (held <= wanted) break;
        held -= holder.held;
        holder.putAside();
      }
      await this.#change();
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }
}

/** That of this process, whatever the number of drivers. */
export const memory = new Memory();
