import { join } from 'node:path';
import { expectContent } from './api.ts';
import { runProgram } from './children.ts';
import type { Bench, Line, Scenario, Turn } from './lines/line.ts';
import { warmFreeMemory } from './machine/memory.ts';
import { machineBusySeconds, resetPeakMemory, usageOf } from './machine/usage.ts';
import { type LineResult, type Reading, type RegistryResult, type Round, roundOf } from './results.ts';
import { type Program, type Server, startServer } from './server.ts';

export interface MeasureOptions {
  programs: readonly Program[];
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
  const start = (program: Program) => startServer(program, join(bench.folder, program.name), bench.signal);
  const running = new Map<Program, Server>();

  /** Hands over the server of the whole scenario, or one for this measurement alone. */
  async function withServer(program: Program, what: string, work: (server: Server) => Promise<void>): Promise<void> {
    const kept = running.get(program);
    const server = kept ?? (await start(program));
    try {
      await explained(server, what, () => work(server));
    } finally {
      if (kept === undefined) await server.stop();
    }
  }

  try {
    for (const program of scenario.fresh ? [] : options.programs) {
      running.set(program, await start(program));
      options.progress(`filling ${program.name}`);
      await withServer(program, 'filling', async (server) => scenario.fill?.(server));
    }
    for (const line of scenario.lines) {
      const results = options.programs.map((program): RegistryResult => ({ registry: program.name, rounds: [] }));
      for (let round = 1; round <= options.rounds; round++) {
        for (const [index, program] of options.programs.entries()) {
          options.progress(`${line.name}: round ${round} of ${options.rounds}, ${program.name}`);
          await withServer(program, line.name, async (server) => {
            const result = results[index];
            const note = round === 1 ? await line.check?.(server) : undefined;
            if (result && note !== undefined) result.note = note;
            result?.rounds.push(await measureOnce(bench, scenario, line, server, round, options));
            if (round === options.rounds) await line.check?.(server);
          });
        }
      }
      const { name, unit, aim } = line;
      await options.finished({ name, unit, ...(aim && { aim }), registries: results });
    }
  } finally {
    for (const server of running.values()) await server.stop();
  }
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
  if (!scenario.fresh) {
    const warmUp: Turn = { number: 2 * round, seconds: warmUpSeconds, warmUp: true };
    await (await line.prepare(server, warmUp))();
  }
  const run = await line.prepare(server, { number: 2 * round + 1, seconds: options.seconds, warmUp: false });
  // What the one before has left in the page cache is not to be written while this one is measured.
  await runProgram('sync', ['-f', bench.folder], bench.signal);
  await warmFreeMemory(bench.folder, Math.min(scenario.spacePerRound, maxWarmMemory));
  await resetPeakMemory(server.pid);
  const before = await read(server);
  const work = await run();
  const after = await read(server);
  for (const path of work.samples) {
    await expectContent(server.url + path, path.slice(path.lastIndexOf('/') + 1), bench.signal);
  }
  return roundOf(line.unit, work, before, after, options.cores);
}

async function read(server: Server): Promise<Reading> {
  const [usage, own, machine] = await Promise.all([usageOf(server.pid), usageOf(process.pid), machineBusySeconds()]);
  return { server: usage, own: own.cpuSeconds, machine, time: performance.now() / 1000 };
}
