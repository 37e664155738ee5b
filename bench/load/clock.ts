/**
 * Counts what is finished in a stretch of time. What ends after the stretch is counted in the total only, so that no
 * client that is still waiting for its last answer is held against the registry.
 */
export class Clock {
  readonly #begin = performance.now();
  readonly #limit: number;
  #amount = 0;
  #total = 0;

  /** @param limit in seconds; undefined: until everything is finished */
  constructor(limit?: number) {
    this.#limit = limit === undefined ? Number.POSITIVE_INFINITY : limit * 1000;
  }

  get running(): boolean {
    return performance.now() - this.#begin < this.#limit;
  }

  count(amount: number): void {
    this.#total += amount;
    if (this.running) this.#amount += amount;
  }

  /** To be asked once, after the last piece of work. */
  stop(): { amount: number; seconds: number; total: number } {
    const passed = performance.now() - this.#begin;
    return { amount: this.#amount, seconds: Math.min(passed, this.#limit) / 1000, total: this.#total };
  }
}
