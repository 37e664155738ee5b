import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { readJson, type SharedStore, writeJson } from '../auth/store.ts';
import type { Log } from '../http/log.ts';
import { type Counts, type EndpointErrors, noCounts, noErrors, type UpstreamReport } from '../mirror/statistics.ts';
import { breakerStates } from '../mirror/upstream/breaker.ts';
import type { SharedStoreOptions } from '../shared-store.ts';

/*
 * What `berth mirror status` reads: each process that serves a mirror keeps what it has done in the storage, as
 * `_berth/mirror/status/<process>`. One that begins takes over the numbers of those that have ended, so that there are not
 * many more of these than processes.
 */

export const statusStore: SharedStoreOptions = { root: '/_berth/mirror', secret: false };
const folder = 'status';

/** Who takes over which numbers, while that is decided. */
const claims = 'status-claims';

const count = z.number().min(0);
const date = z.iso.datetime().transform((text) => new Date(text));
const counts = z.object({ hits: count, misses: count, stale: count, pulledBytes: count, pushedBytes: count });

/** Moments within it are in milliseconds since 1970. */
const endpoint = z.object({
  url: z.string(),
  errors: z.object({ unreachable: count, throttled: count, denied: count, invalid: count }),
  /** Absent where it is of processes that have ended. */
  breaker: z
    .object({
      state: z.enum(breakerStates),
      failures: count,
      until: z.number().optional(),
    })
    .optional(),
  rateLimit: z
    .object({ limit: count.optional(), remaining: count.optional(), window: count.optional(), at: z.number() })
    .optional(),
});

const upstream = z.object({
  name: z.string(),
  manifest: counts,
  blob: counts,
  endpoints: z.array(endpoint).readonly(),
});

const record = z.object({
  host: z.string(),
  pid: z.number(),
  /** From when on it counts, or those did whose numbers it has taken over. */
  since: date,
  written: date,
  ended: z.boolean(),
  upstreams: z.array(upstream).readonly(),
});

type ProcessRecord = z.output<typeof record>;
type UpstreamNumbers = z.output<typeof upstream>;
type EndpointNumbers = z.output<typeof endpoint>;

/** When a process writes that something has changed, and that it is there. In milliseconds. */
const changeInterval = 10_000;
const lifeInterval = 300_000;

/** Who has written nothing for so long has been killed. In milliseconds. */
const silence = 2 * lifeInterval + 60_000;

/** Between the claim to some numbers and the look whether it stands, in milliseconds: several times what a write takes. */
const usualClaimTime = 1_000;

export interface StatusOptions {
  readonly report: () => { readonly upstreams: readonly UpstreamReport[] };
  readonly log: Log;
  /** How often is looked whether something has changed, in milliseconds. Default: 10 s. */
  readonly interval?: number;
  /** How long numbers are claimed before they are taken over, in milliseconds. Default: 1 s. */
  readonly claimTime?: number;
}

/** Keeps what this process does in the storage, until it is stopped. */
export function keepMirrorStatus(store: SharedStore, options: StatusOptions): { stop(): Promise<void> } {
  const { report, log, interval = changeInterval, claimTime = usualClaimTime } = options;
  const id = randomUUID();
  const name = `${folder}/${id}`;
  let since = new Date();
  let before: readonly UpstreamNumbers[] = [];
  let last = { text: '', at: 0 };

  /**
   * Of several that begin at the same time, one gets it: who has claimed it last. That it was there to be deleted says nothing,
   * as object stores let several delete the same. If that one dies before it writes, the numbers are lost, and not there twice.
   */
  async function takeOver(): Promise<void> {
    const claimed: [other: string, claim: string, found: ProcessRecord][] = [];
    for await (const [other, found] of recordsIn(store)) {
      if (isRunning(found)) continue;
      const claim = other.replace(folder, claims);
      await store.put(claim, Buffer.from(id));
      claimed.push([other, claim, found]);
    }
    if (claimed.length > 0) await delay(claimTime);
    for (const [other, claim, found] of claimed) {
      if ((await store.get(claim))?.toString('utf8') !== id) continue;
      const isThere = await store.delete(other);
      await store.delete(claim);
      if (!isThere) continue;
      before = sum(before, found.upstreams.map(withoutState));
      if (found.since < since) since = found.since;
    }
  }

  async function write(ended: boolean): Promise<void> {
    const { upstreams } = report();
    const text = JSON.stringify(upstreams);
    const now = Date.now();
    if (!ended && text === last.text && now - last.at < lifeInterval) return;
    const content: z.input<typeof record> = {
      host: hostname(),
      pid: process.pid,
      since: since.toISOString(),
      written: new Date(now).toISOString(),
      ended,
      upstreams: sum(before, upstreams),
    };
    await writeJson(store, name, content);
    last = { text, at: now };
  }

  let running: Promise<void> | undefined;
  function run(work: () => Promise<void>): void {
    running ??= work()
      .catch((error: unknown) => log.warn('what the mirror does could not be kept for berth mirror status', { error }))
      .finally(() => {
        running = undefined;
      });
  }
  run(async () => {
    await takeOver();
    await write(false);
  });
  const timer = setInterval(() => run(() => write(false)), interval).unref();

  return {
    async stop() {
      clearInterval(timer);
      await running;
      run(() => write(true));
      await running;
    },
  };
}

/** What all processes have done, and how upstreams are for those that run. */
export interface MirrorStatus {
  /** From when on it was counted; undefined: nothing was. */
  readonly since: Date | undefined;
  readonly processes: {
    readonly running: number;
    /** Those whose numbers no other process has taken over. */
    readonly ended: number;
  };
  readonly upstreams: readonly UpstreamSummary[];
}

export interface UpstreamSummary {
  readonly name: string;
  readonly manifest: Counts;
  readonly blob: Counts;
  readonly endpoints: readonly EndpointSummary[];
}

export interface EndpointSummary {
  readonly url: string;
  readonly errors: EndpointErrors;
  /** One for each process that runs. */
  readonly breakers: readonly (NonNullable<EndpointNumbers['breaker']> & Pick<ProcessRecord, 'host' | 'pid'>)[];
  /** What the endpoint said last, of those that said it to processes that run. */
  readonly rateLimit?: EndpointNumbers['rateLimit'];
}

/** @param onDamaged told of what is no such record and is left out */
export async function readMirrorStatus(
  store: SharedStore,
  onDamaged: (error: unknown) => void = () => undefined,
): Promise<MirrorStatus> {
  const all: ProcessRecord[] = [];
  for await (const [, found] of recordsIn(store, onDamaged)) all.push(found);
  const running = all.filter(isRunning);
  const [first] = all.map(({ since }) => since).sort((a, b) => a.getTime() - b.getTime());

  function summaryOf(name: string, { url, errors }: EndpointNumbers): EndpointSummary {
    const states = running.flatMap(({ host, pid, upstreams }) =>
      upstreams
        .filter((one) => one.name === name)
        .flatMap(({ endpoints }) => endpoints)
        .filter((one) => one.url === url)
        .map(({ breaker, rateLimit }) => ({ breaker: breaker && { host, pid, ...breaker }, rateLimit })),
    );
    const [rateLimit] = states.flatMap((one) => one.rateLimit ?? []).sort((a, b) => b.at - a.at);
    return { url, errors, breakers: states.flatMap(({ breaker }) => breaker ?? []), rateLimit };
  }

  // The order is that of the last one: what is configured comes first, then what was an upstream once.
  const ordered = [...all.filter((one) => !running.includes(one)), ...running];
  const total = ordered.reduce<readonly UpstreamNumbers[]>(
    (sofar, { upstreams }) => sum(sofar, upstreams.map(withoutState)),
    [],
  );
  return {
    since: first,
    processes: { running: running.length, ended: all.length - running.length },
    upstreams: total.map((one) => ({
      ...one,
      endpoints: one.endpoints.map((endpoint) => summaryOf(one.name, endpoint)),
    })),
  };
}

async function* recordsIn(
  store: SharedStore,
  onDamaged: (error: unknown) => void = () => undefined,
): AsyncGenerator<[name: string, record: ProcessRecord]> {
  for (const file of await store.list(folder)) {
    const name = `${folder}/${file}`;
    try {
      const content = await readJson(store, name);
      if (content !== undefined) yield [name, record.parse(content)];
    } catch (error) {
      onDamaged(error);
    }
  }
}

function isRunning({ ended, written }: ProcessRecord): boolean {
  return !ended && Date.now() - written.getTime() < silence;
}

function withoutState(numbers: UpstreamNumbers): UpstreamNumbers {
  return { ...numbers, endpoints: numbers.endpoints.map(({ url, errors }) => ({ url, errors })) };
}

/** Numbers added up, with the state of the second. */
function sum(first: readonly UpstreamNumbers[], second: readonly UpstreamNumbers[]): UpstreamNumbers[] {
  return joined(
    first,
    second,
    ({ name }) => name,
    ([a, b], name) => ({
      name,
      manifest: sumOf(noCounts(), a?.manifest, b?.manifest),
      blob: sumOf(noCounts(), a?.blob, b?.blob),
      endpoints: joined(
        a?.endpoints ?? [],
        b?.endpoints ?? [],
        ({ url }) => url,
        ([one, other], url) => ({
          ...other,
          url,
          errors: sumOf(noErrors(), one?.errors, other?.errors),
        }),
      ),
    }),
  );
}

/** What has the same key in both lists, joined; in the order of the second, then of the first. */
function joined<T>(
  first: readonly T[],
  second: readonly T[],
  keyOf: (item: T) => string,
  join: (items: readonly [T | undefined, T | undefined], key: string) => T,
): T[] {
  const keys = new Set([...second, ...first].map(keyOf));
  const find = (items: readonly T[], key: string) => items.find((item) => keyOf(item) === key);
  return [...keys].map((key) => join([find(first, key), find(second, key)], key));
}

/** @param zero with every key, each 0 */
function sumOf<Key extends string>(
  zero: Record<Key, number>,
  ...numbers: readonly (Readonly<Record<Key, number>> | undefined)[]
): Record<Key, number> {
  const total = { ...zero };
  for (const key in total) for (const one of numbers) total[key] += one?.[key] ?? 0;
  return total;
}
