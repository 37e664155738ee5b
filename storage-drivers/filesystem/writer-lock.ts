import { randomUUID } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { WriterBusyError } from '../driver.ts';
import { DailyTask } from './daily-task.ts';
import { driverName, isMissing } from './errors.ts';
import { LockFiles, type LockRecord } from './lock-file.ts';
import { type ProcessIdentity, processIdentity } from './process-identity.ts';

/** In milliseconds. */
export interface LockTimes {
  /** How often a holder shows that it lives. */
  beat: number;
  /** How long the silence of a process on another machine, or in another container, is taken for its end. */
  silence: number;
}

const defaultTimes: LockTimes = { beat: 10_000, silence: 60_000 };

export interface WriterLock {
  /** @throws WriterBusyError when another process has taken the path over */
  verify(): Promise<void>;
  /** Never fails. */
  release(): Promise<void>;
}

interface Held {
  readonly file: string;
  readonly content: string;
  /** When the last sign of life was given, in milliseconds of the day's time. */
  shown: number;
  /** Somebody else has it. */
  lost: boolean;
  /** Given back, but not removed yet. */
  released: boolean;
  /** Ends when nothing works on the lock. Never rejects. */
  turn: Promise<void>;
}

/**
 * One writer at a time per path, over all processes.
 *
 * The lock of a process that died is broken at once where that can be seen (same machine, same table of processes),
 * else when it has been silent for {@link LockTimes.silence}. A process that was only slow may then find its lock gone.
 * That harms nothing: all writers append, and each verifies before it commits that the file has the size that it
 * accounts for.
 */
export class WriterLocks {
  readonly #files: LockFiles;
  readonly #times: LockTimes;
  readonly #held = new Set<Held>();
  readonly #sweeping = new DailyTask(() => this.#sweep());
  #self: ProcessIdentity | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(root: string, times: LockTimes = defaultTimes) {
    this.#files = new LockFiles(root, times.silence);
    this.#times = times;
  }

  /** @throws WriterBusyError */
  async acquire(path: string): Promise<WriterLock> {
    this.#self ??= processIdentity();
    const self = this.#self;
    const file = this.#files.fileOf(path);
    const record: LockRecord = { ...self, nonce: randomUUID(), path };
    const content = JSON.stringify(record);
    if (!(await this.#files.create(file, content))) {
      await this.#files.breakStale(file, self);
      if (!(await this.#files.create(file, content))) throw new WriterBusyError(driverName, path);
    }
    this.#sweeping.start();
    const held: Held = { file, content, shown: Date.now(), lost: false, released: false, turn: done };
    this.#held.add(held);
    this.#timer ??= setInterval(() => void this.#beat(), this.#times.beat).unref();
    return {
      verify: async () => {
        await inTurn(held, () => this.#ascertain(held));
        if (held.lost) throw new WriterBusyError(driverName, path);
      },
      release: () => this.#release(held),
    };
  }

  /** Ends the work in the background; resolves when none is left. What is held stays held until this process ends. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping.close();
  }

  async #sweep(): Promise<void> {
    if (this.#self !== undefined) await this.#files.sweep(this.#self);
  }

  async #beat(): Promise<void> {
    for (const held of this.#held) {
      await inTurn(held, () => (held.released ? this.#remove(held) : this.#show(held))).catch(() => undefined);
    }
  }

  async #show(held: Held): Promise<void> {
    if (await this.#files.touch(held.file, held.content)) held.shown = Date.now();
    else held.lost = true;
  }

  /** Looks whether it is still held when others may have taken this process for dead. */
  async #ascertain(held: Held): Promise<void> {
    if (!held.lost && Math.abs(Date.now() - held.shown) >= this.#times.silence) await this.#show(held);
  }

  async #release(held: Held): Promise<void> {
    held.released = true;
    await inTurn(held, () => this.#remove(held));
  }

  async #remove(held: Held): Promise<void> {
    if (!this.#held.has(held)) return;
    try {
      await this.#ascertain(held);
      if (!held.lost) await unlink(held.file);
    } catch (error) {
      // Tried again with the next beat.
      if (!isMissing(error)) return;
    }
    this.#held.delete(held);
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

const done = Promise.resolve();

/**
 * One task at a time for each lock. A lock that is shown while it is given back would come back and never end; one that
 * is given back twice would take that of the next writer with it.
 */
function inTurn(held: Held, task: () => Promise<void>): Promise<void> {
  const turn = held.turn.then(task);
  held.turn = turn.catch(() => undefined);
  return turn;
}
