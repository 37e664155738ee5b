import { setTimeout as delay } from 'node:timers/promises';

export interface QueueOptions<T> {
  /** Rejects when that is to be tried again. */
  readonly deliver: (item: T, signal: AbortSignal) => Promise<void>;
  /** How often in a row it is tried at once. */
  readonly threshold: number;
  /** Before each attempt beyond that, in milliseconds. */
  readonly backoff: number;
  /** How many may wait, and how much they may be in all. */
  readonly max: number;
  readonly maxSize: number;
  readonly sizeOf: (item: T) => number;
  /** The first of some failures in a row, or that it goes on after so many of them. */
  readonly onChange: (failures: number, error?: unknown) => void;
  /** The oldest had to make room, for the first time since there was room. */
  readonly onFull: () => void;
}

/** What is to be delivered, in order, one at a time, each until it has succeeded. Where too many wait, the oldest go. */
export class Queue<T> {
  readonly #options: QueueOptions<T>;
  readonly #waiting: T[] = [];
  readonly #closing = new AbortController();
  #running: Promise<void> | undefined;
  /** Of those that wait. */
  #size = 0;
  #failures = 0;
  #isFull = false;
  #dropped = 0;

  constructor(options: QueueOptions<T>) {
    this.#options = options;
  }

  /** Those that wait, and the one that is under way. */
  get pending(): number {
    return this.#waiting.length + (this.#running === undefined ? 0 : 1);
  }

  /** Those that were never delivered. */
  get dropped(): number {
    return this.#dropped;
  }

  add(item: T): void {
    const { max, maxSize, sizeOf, onFull } = this.#options;
    if (this.#closing.signal.aborted) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(item);
    this.#size += sizeOf(item);
    while (this.#waiting.length > max || this.#size > maxSize) {
      this.#next();
      this.#dropped += 1;
      if (!this.#isFull) onFull();
      this.#isFull = true;
    }
    this.#running ??= this.#run();
  }

  /** Delivers what is there and takes no more. @param patience how long that may take, in milliseconds @returns how many were not delivered */
  async close(patience: number): Promise<number> {
    const before = this.#dropped;
    await Promise.race([this.#running, delay(patience, undefined, { ref: false })]);
    this.#closing.abort(new Error('the server stops'));
    await this.#running;
    return this.#dropped - before;
  }

  async #run(): Promise<void> {
    // What is added in this turn is added to a queue that runs.
    await undefined;
    for (let item = this.#next(); item !== undefined; item = this.#next()) {
      if (this.#waiting.length === 0) this.#isFull = false;
      if (!(await this.#deliver(item))) this.#dropped += 1;
    }
    this.#running = undefined;
  }

  #next(): T | undefined {
    const item = this.#waiting.shift();
    if (item !== undefined) this.#size -= this.#options.sizeOf(item);
    return item;
  }

  /** @returns false when it was given up */
  async #deliver(item: T): Promise<boolean> {
    const { deliver, threshold, backoff, onChange } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        if (this.#failures >= threshold) await delay(backoff, undefined, { signal });
        await deliver(item, signal);
        if (this.#failures > 0) onChange(this.#failures);
        this.#failures = 0;
        return true;
      } catch (error) {
        if (signal.aborted) break;
        this.#failures += 1;
        if (this.#failures === 1) onChange(1, error);
      }
    }
    return false;
  }
}
