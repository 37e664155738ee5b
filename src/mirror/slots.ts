/** Lets a number of parties in at once; who is beyond waits, and those who have waited longest come first. */
export class Slots {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** @returns what gives the slot back; to be called once @throws the reason of the signal */
  async take(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal);
    return () => this.#next();
  }

  /** Takes a slot for as long as a task runs. @throws what the task throws; the reason of the signal before it runs */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const leave = await this.take(signal);
    try {
      signal?.throwIfAborted();
      return await task();
    } finally {
      leave();
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(enter);
        reject(signal?.reason);
      };
      const enter = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.add(enter);
    });
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#free += 1;
    } else {
      this.#waiting.delete(first);
      first();
    }
  }
}

/** As many for each upstream: one that is slow keeps nobody from the others. */
export class UpstreamSlots {
  readonly #count: number;
  readonly #slots = new Map<string, Slots>();

  constructor(count: number) {
    this.#count = count;
  }

  of(upstream: string): Slots {
    const known = this.#slots.get(upstream);
    if (known !== undefined) return known;
    const slots = new Slots(this.#count);
    this.#slots.set(upstream, slots);
    return slots;
  }
}
