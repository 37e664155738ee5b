import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allScenarios, selectLines } from './lines/all.ts';
import type { Bench, Scenario } from './lines/line.ts';
import { type LoadProcess, startLoadProcess } from './load/process.ts';
import { describeMachine, freeSpace, type Machine } from './machine/describe.ts';
import { measureScenario } from './measure.ts';
import { help, type Options, parseOptions, UsageError } from './options.ts';
import type { LineResult } from './results.ts';
import { filesystemStorage } from './storage/filesystem.ts';
import { s3Storage } from './storage/s3.ts';
import type { Storage } from './storage/storage.ts';
import { machineText, tableHead, tableRows, verdictText } from './table.ts';

/** For logs, filling and scripts, in bytes. */
const spaceForTheRest = 3 * 2 ** 30;

/** What the most demanding scenario keeps at once. */
function neededSpace(scenarios: readonly Scenario[], { storage, rounds, programs }: Options): number {
  // On S3 each round is removed; but while an upload becomes a blob, both are there, and a store must not be near full.
  const rest = storage === 's3' ? 2.5 : rounds * programs.length;
  const fresh = storage === 's3' ? 2.5 : 1;
  const each = scenarios.map((scenario) => scenario.spacePerRound * (scenario.fresh ? fresh : rest));
  return Math.max(...each) + spaceForTheRest;
}

const ceph = fileURLToPath(new URL('../../storage-drivers/s3/testing/ceph.sh', import.meta.url));

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Progress goes to the terminal only, so that a file gets the table alone. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function print(text: string): void {
  progress('');
  console.log(text);
}

async function measure(options: Options, bench: Bench): Promise<void> {
  const { programs, rounds, seconds, sizes } = options;
  const scenarios = selectLines(allScenarios(bench, options.storage), options.only);
  if (scenarios.length === 0) throw new UsageError('no line has such a name; --list names them');
  const machine = await describeMachine(bench.folder);
  const [needed, free] = [neededSpace(scenarios, options), await freeSpace(bench.folder)];
  print(machineText(machine));
  for (const { name, command } of programs) print(`${name.padEnd(12)} ${command.join(' ')} serve config.yml`);
  print(`disk         ${gibibytes(needed)} needed, ${gibibytes(free)} free`);
  print(
    `rounds       ${rounds}, of ${seconds} s where the line is not bound to an amount; sizes ${JSON.stringify(sizes)}`,
  );
  if (free < needed) throw new UsageError(`not enough space below ${options.folder}; --folder chooses another place`);

  const { folder, signal } = bench;
  const storage =
    options.storage === 's3'
      ? await s3Storage({ script: ceph, folder: join(folder, 's3'), size: needed, signal })
      : filesystemStorage(folder);
  try {
    print(`storage      ${storage.description}`);
    await measureAll(options, bench, scenarios, storage, machine);
  } finally {
    await storage.close();
  }
}

async function measureAll(
  options: Options,
  bench: Bench,
  scenarios: readonly Scenario[],
  storage: Storage,
  machine: Machine,
): Promise<void> {
  const { programs, rounds, seconds, sizes, usualSizes } = options;
  print(`\n${tableHead(storage.counter === undefined ? 'aim' : 'S3 requests per operation')}`);
  const results: LineResult[] = [];
  const finished = async (result: LineResult) => {
    results.push(result);
    print(tableRows(result, usualSizes));
    if (options.json === undefined) return;
    const all = { machine, storage: storage.kind, rounds, seconds, sizes, programs, lines: results };
    await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`);
  };
  const common = { programs, storage, rounds, seconds, cores: machine.cores, finished, progress };
  for (const scenario of scenarios) await measureScenario(bench, scenario, common);

  const verdict = usualSizes ? verdictText(results) : '';
  if (verdict !== '') print(`\n${verdict}`);
}

class Interrupted extends Error {}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return console.log(help);

  const interrupt = new AbortController();
  // Each fetch listens until its answer is collected as garbage; that is no leak.
  setMaxListeners(0, interrupt.signal);
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => interrupt.abort(new Interrupted(`ended by ${name}`)));
  }
  const folder = await mkdtemp(join(options.folder, 'berth-bench-'));
  let load: LoadProcess | undefined;
  try {
    load = startLoadProcess();
    const bench = { load, folder, sizes: options.sizes, signal: interrupt.signal };
    if (options.list) {
      for (const line of allScenarios(bench, options.storage).flatMap((scenario) => scenario.lines))
        console.log(line.name);
    } else {
      await measure(options, bench);
    }
  } catch (error) {
    // Whatever was cut short, the reason is the signal.
    interrupt.signal.throwIfAborted();
    throw error;
  } finally {
    await load?.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  progress('');
  console.error(error instanceof UsageError || error instanceof Interrupted ? error.message : error);
  process.exitCode = 1;
});
