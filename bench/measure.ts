import { join } from 'node:path';
import { expectContent } from './api.ts';
import { runProgram } from './children.ts';
import type { Bench, Line, Scenario, Turn } from './lines/line.ts';
import { warmFreeMemory } from './machine/memory.ts';
import { machineBusySeconds, resetPeakMemory, usageOf } from './machine/usage.ts';
import {
  type LineResult,
  type Reading,
  type RegistryResult,
  type Round,
  requestsPerOperation,
  roundOf,
} from './results.ts';
import { type Program, type Server, startServer } from './server.ts';
import type { Access, Place, RequestCounter, RequestCounts, Storage } from './storage/storage.ts';

export interface MeasureOptions {
  programs: readonly Program[];
  storage: Storage;
  rounds: number;
  /** Of a measurement that is not bound to an amount. */
  seconds: number;
  cores: number;
  /** Told about each line as soon as it is finished. */
  finished(result: LineResult): Promise<void>;
  /** Told what is going on. */
  progress(text: string): void;
}

/** How long a warm-up takes, where it is not bound to an amount, in seconds. */
const warmUpSeconds = 1;

/** More than this would be written to the disk meanwhile. */
const maxWarmMemory = 2 * 2 ** 30;

/** Starts the registries of a scenario, fills them, measures its lines and removes everything again. */
export async function measureScenario(bench: Bench, scenario: Scenario, options: MeasureOptions): Promise<void> {
  const { programs, storage, rounds, progress } = options;
  const places = new Map(programs.map((program) => [program, storage.place(program.name)]));
  const running = new Map<Program, Server>();

  function placeOf(program: Program): Place {
    const place = places.get(program);
    if (place === undefined) throw new TypeError(`${program.name} has no place`);
    return place;
  }

  function start(program: Program, access: Access): Promise<Server> {
    const setup = { place: placeOf(program), access, redirect: scenario.redirect ?? false };
    return startServer(program, join(bench.folder, `${program.name}-${access}`), setup, bench.signal);
  }

  async function clear(program: Program): Promise<void> {
    await placeOf(program).clear();
    await storage.settle(bench.signal);
  }

  /** Hands over the server of the whole scenario, or one for this measurement alone. */
  async function withServer(program: Program, what: string, work: (server: Server) => Promise<void>): Promise<void> {
    const kept = running.get(program);
    const server = kept ?? (await start(program, 'straight'));
    try {
      await explained(server, what, () => work(server));
    } finally {
      if (kept === undefined) await server.stop();
    }
    if (kept === undefined) await clear(program);
  }

  /** Puts the load of a line on a registry once more, not for its time but for its requests to the storage. */
  async function count(program: Program, line: Line, counter: RequestCounter): Promise<RequestCounts> {
    const server = await start(program, 'counted');
    let requests: RequestCounts = {};
    try {
      await explained(server, `${line.name}, counting requests`, async () => {
        // All content has been asked for once: what stays is what each operation costs.
        await line.check?.(server);
        await (await line.prepare(server, warmUpOf(rounds + 1)))();
        const run = await line.prepare(server, turnOf(rounds + 1, options));
        await counter.read(bench.signal);
        counter.reset();
        const work = await run();
        requests = requestsPerOperation(line, work, await counter.read(bench.signal));
      });
    } finally {
      await server.stop();
    }
    if (scenario.spacePerRound > 0) await clear(program);
    return requests;
  }

  try {
    for (const program of scenario.fresh ? [] : programs) {
      running.set(program, await start(program, 'straight'));
      progress(`filling ${program.name}`);
      await withServer(program, 'filling', async (server) => scenario.fill?.(server, placeOf(program)));
    }
    for (const line of scenario.lines) {
      const results = programs.map((program): RegistryResult => ({ registry: program.name, rounds: [] }));
      for (let round = 1; round <= rounds; round++) {
        for (const [index, program] of programs.entries()) {
          progress(`${line.name}: round ${round} of ${rounds}, ${program.name}`);
          await withServer(program, line.name, async (server) => {
            const result = results[index];
            const note = round === 1 ? await line.check?.(server) : undefined;
            if (result && note !== undefined) result.note = note;
            result?.rounds.push(await measureOnce(bench, scenario, line, server, round, options));
            if (round === rounds) await line.check?.(server);
          });
          if (storage.scarce && scenario.spacePerRound > 0 && !scenario.fresh) await clear(program);
        }
      }
      for (const [index, program] of programs.entries()) {
        const result = results[index];
        // Of what runs once on a fresh registry, another line has the requests.
        if (result === undefined || storage.counter === undefined || scenario.fresh) continue;
        progress(`${line.name}: counting requests of ${program.name}`);
        result.requests = await count(program, line, storage.counter);
      }
      const { name, unit, aim } = line;
      await options.finished({ name, unit, ...(aim && { aim }), registries: results });
    }
  } finally {
    for (const server of running.values()) await server.stop();
    progress('removing content');
    for (const place of places.values()) await place.clear();
  }
}

function warmUpOf(round: number): Turn {
  return { number: 2 * round, seconds: warmUpSeconds, warmUp: true };
}

function turnOf(round: number, { seconds }: MeasureOptions): Turn {
  return { number: 2 * round + 1, seconds, warmUp: false };
}

async function explained(server: Server, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `${server.name}, ${what}: ${reason}\nThe end of its log:\n${await server.lastWords()}`;
    throw new Error(message, { cause: error });
  }
}

async function measureOnce(
  bench: Bench,
  scenario: Scenario,
  line: Line,
  server: Server,
  round: number,
  options: MeasureOptions,
): Promise<Round> {
  if (!scenario.fresh) await (await line.prepare(server, warmUpOf(round)))();
  const run = await line.prepare(server, turnOf(round, options));
  // What the one before has left in the page cache is not to be written while this one is measured.
  await runProgram('sync', ['-f', bench.folder], { signal: bench.signal });
  await warmFreeMemory(bench.folder, Math.min(scenario.spacePerRound, maxWarmMemory));
  await resetPeakMemory(server.pid);
  const before = await read(server, options.storage);
  const work = await run();
  const after = await read(server, options.storage);
  for (const path of work.samples) {
    await expectContent(server.url + path, path.slice(path.lastIndexOf('/') + 1), bench.signal);
  }
  return roundOf(line.unit, work, before, after, options.cores);
}

async function read(server: Server, storage: Storage): Promise<Reading> {
  const [usage, machine, ...own] = await Promise.all([
    usageOf(server.pid),
    machineBusySeconds(),
    ...[process.pid, ...storage.processes].map(usageOf),
  ]);
  const ownSeconds = own.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
  return { server: usage, own: ownSeconds, machine, time: performance.now() / 1000 };
}
