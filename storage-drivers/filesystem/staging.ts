import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { DailyTask } from './daily-task.ts';
import { errnoOf } from './errors.ts';
import * as io from './io.ts';

/** What berth keeps beside the registry's own tree; distribution never looks there. */
export const privateFolder = '/_berth';
export const stagingFolder = 'staging';
export const locksFolder = 'locks';

/** What a process left here and did not touch for so long is nobody's any more. In milliseconds. */
const abandonedAfter = 24 * 60 * 60 * 1000;

/**
 * The place where files are written before they are seen, on the same file system as their destination (as a rule), so
 * that a rename gives them their name at one instant.
 */
export class StagingArea {
  readonly #folder: string;
  readonly #discarding = new Set<Promise<void>>();
  #ready: Promise<void> | undefined;
  readonly #sweeping = new DailyTask(() => this.#sweep());

  /** @param root of the storage */
  constructor(root: string) {
    this.#folder = `${root}${privateFolder}/${stagingFolder}`;
  }

  /** A path that nobody has. */
  newPath(): string {
    return `${this.#folder}/${randomUUID()}`;
  }

  /** A new file. @returns its path and a descriptor to write with */
  async create(flags: number): Promise<{ path: string; fd: number }> {
    const path = this.newPath();
    return { path, fd: await this.use(() => io.open(path, flags)) };
  }

  /** Takes a file or folder out of sight, at one instant. @returns its new path */
  async take(visible: string): Promise<string> {
    const path = this.newPath();
    await this.use(() => io.rename(visible, path));
    return path;
  }

  /** Removes what was staged, as far as that is possible: what stays is swept later. */
  async discard(path: string): Promise<void> {
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }

  /** The same in the background. */
  discardLater(path: string): void {
    const discarding = this.discard(path).finally(() => this.#discarding.delete(discarding));
    this.#discarding.add(discarding);
  }

  /** Ends the work in the background; resolves when none is left. */
  async close(): Promise<void> {
    await this.#sweeping.close();
    await Promise.all(this.#discarding);
  }

  /** Makes the area when it is used for the first time, and again when somebody removed it while the server ran. */
  async use<T>(operation: () => Promise<T>): Promise<T> {
    this.#ready ??= this.#make();
    const ready = this.#ready;
    await ready;
    try {
      return await operation();
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    if (this.#ready === ready) this.#ready = this.#make();
    await this.#ready;
    return operation();
  }

  async #make(): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true });
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
    this.#sweeping.start();
  }

  /** Removes what processes that died left behind. */
  async #sweep(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) {
      const path = `${this.#folder}/${name}`;
      const modified = await stat(path).then(
        (stats) => stats.mtimeMs,
        () => undefined,
      );
      if (modified !== undefined && Date.now() - modified > abandonedAfter) await this.discard(path);
    }
  }
}
