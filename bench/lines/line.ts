import type { Run } from '../load/jobs.ts';
import type { LoadProcess } from '../load/process.ts';
import type { Server } from '../server.ts';
import type { Place } from '../storage/storage.ts';

/** What every line needs to put a load on a registry. */
export interface Bench {
  load: LoadProcess;
  sizes: Sizes;
  /** For files of the load generators. */
  folder: string;
  signal: AbortSignal;
}

/** How much content there is. */
export interface Sizes {
  /** Of a large blob, in MiB. */
  blobMib: number;
  repositories: number;
  tags: number;
}

/** What berth is to reach: a multiple of distribution's rate, or a limit of memory in bytes. */
export type Aim = { ratio: number } | { peakMemory: number };

/** One thing to measure. */
export interface Line {
  name: string;
  unit: 'ops/s' | 'MB/s';
  /** With MB/s: the bytes of one operation, for which requests to the storage are counted. */
  bytesPerOperation?: number;
  aim?: Aim;
  /**
   * Looks whether the registry answers right, outside of the measurement.
   *
   * @returns what a reader must know to judge this registry's number
   * @throws Error when it does not
   */
  check?(server: Server): Promise<string | undefined>;
  /** Gets a load ready; what is returned puts it on. */
  prepare(server: Server, turn: Turn): Promise<Run>;
}

/** One measurement or its warm-up. */
export interface Turn {
  /** Another one each time, the same for all registries of a round: makes the content of pushes. */
  number: number;
  /** How long to go on, where the line is not bound to an amount. */
  seconds: number;
  warmUp: boolean;
}

/** Lines that share their servers and the content. */
export interface Scenario {
  lines: readonly Line[];
  /** Fills a registry before the first line. */
  fill?(server: Server, place: Place): Promise<void>;
  /** True: each measurement gets a registry that has just been started on an empty folder, and has no warm-up. */
  fresh: boolean;
  /** True: clients are sent to the storage for blobs. Default false. */
  redirect?: boolean;
  /** Disk space for one registry in one round, in bytes; filling and logs are not counted. */
  spacePerRound: number;
}

/** Numbers of blobs and images of one turn start here; no turn uses so many. */
export function firstNumber(turn: Turn): number {
  return turn.number * 1_000_000;
}

/** Does `work` for 0 … count-1, eight at a time. */
export async function eachOf(count: number, work: (index: number) => Promise<void>): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index).values();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const index of indexes) await work(index);
    }),
  );
}

export function requireSame(what: string, found: readonly string[], expected: readonly string[]): void {
  if (found.length === expected.length && found.every((item, index) => item === expected[index])) return;
  const odd = found.findIndex((item, index) => item !== expected[index]);
  const at = odd < 0 ? found.length : odd;
  throw new Error(
    `${what}: ${found.length} names instead of ${expected.length}; at ${at}: ${found[at]} instead of ${expected[at]}`,
  );
}
