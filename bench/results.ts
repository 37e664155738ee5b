import type { Aim, Line } from './lines/line.ts';
import type { Work } from './load/jobs.ts';
import type { Usage } from './machine/usage.ts';
import { ratios, type Spread, spread } from './statistics.ts';
import type { RequestCounts } from './storage/storage.ts';

/** One measurement. */
export interface Round {
  /** In the line's unit; MB are 10^6 bytes. */
  rate: number;
  /** CPU time of the registry: milliseconds for one operation, or seconds for 10^9 bytes. */
  cpu: number;
  /** Peak of its resident set during the measurement, in bytes. */
  peakMemory: number;
  /** CPU time that programs outside of this measurement took meanwhile, as a share of the machine, 0 to 1. */
  foreign: number;
}

export interface RegistryResult {
  registry: string;
  rounds: Round[];
  note?: string;
  /** Requests to the storage for one operation, by kind; where they can be counted. */
  requests?: RequestCounts;
}

export interface LineResult {
  name: string;
  unit: Line['unit'];
  aim?: Aim;
  registries: RegistryResult[];
}

/** Usage and clock before or after a measurement. */
export interface Reading {
  server: Usage;
  /** CPU time of everything that this run started, the registries and itself included, in seconds. */
  own: number;
  /** CPU time that the whole machine was busy, in seconds. */
  machine: number;
  /** In seconds, from any zero. */
  time: number;
}

export function roundOf(unit: Line['unit'], work: Work, before: Reading, after: Reading, cores: number): Round {
  if (!(work.amount > 0 && work.seconds > 0)) throw new Error('nothing was finished in the time of the measurement');
  const cpuSeconds = after.server.cpuSeconds - before.server.cpuSeconds;
  const foreign = after.machine - before.machine - (after.own - before.own);
  return {
    rate: work.amount / work.seconds / (unit === 'MB/s' ? 1e6 : 1),
    cpu: unit === 'MB/s' ? cpuSeconds / (work.total / 1e9) : (cpuSeconds * 1000) / work.total,
    peakMemory: after.server.peakMemory,
    foreign: Math.max(0, foreign / cores / (after.time - before.time)),
  };
}

/** Requests for one operation. @param work what was done meanwhile */
export function requestsPerOperation(line: Line, work: Work, counts: RequestCounts): RequestCounts {
  const operations = work.total / (line.bytesPerOperation ?? 1);
  if (!(operations > 0)) throw new Error('nothing was finished while requests were counted');
  return Object.fromEntries(Object.entries(counts).map(([kind, count]) => [kind, count / operations]));
}

/** One registry in one line, over all rounds. */
export interface Summary {
  rate: Spread;
  cpu: number;
  /** The largest of all rounds, in bytes. */
  peakMemory: number;
  foreign: number;
  /** To the reference, round by round; undefined for the reference itself or without one. */
  ratio: Spread | undefined;
}

export function summarize(result: RegistryResult, reference: RegistryResult | undefined): Summary {
  const values = (key: keyof Round, of = result) => of.rounds.map((round) => round[key]);
  const compared = reference === undefined || reference === result ? undefined : values('rate', reference);
  return {
    rate: spread(values('rate')),
    cpu: spread(values('cpu')).median,
    peakMemory: Math.max(...values('peakMemory')),
    foreign: Math.max(...values('foreign')),
    ratio: compared && ratios(values('rate'), compared),
  };
}

/** Whether the aim is reached, or undefined when that cannot be said for want of a reference. */
export function reaches(aim: Aim, summary: Summary): boolean | undefined {
  if ('peakMemory' in aim) return summary.peakMemory < aim.peakMemory;
  return summary.ratio && summary.ratio.median >= aim.ratio;
}
