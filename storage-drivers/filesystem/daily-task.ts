/** In milliseconds. */
const day = 24 * 60 * 60 * 1000;

/**
 * Work in the background that is done at once and then every day, one run at a time. A run that fails has done what it
 * could; the next one tries again. Keeps no process alive.
 */
export class DailyTask {
  readonly #run: () => Promise<void>;
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(run: () => Promise<void>) {
    this.#run = run;
  }

  /** Does nothing when it has been started before. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => this.#begin(), day).unref();
    this.#begin();
  }

  /** Resolves when no run is left. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#running;
  }

  #begin(): void {
    this.#running ??= this.#run()
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined;
      });
  }
}
