import { access, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bench, Line, Scenario } from './lines/line.ts';
import { measureScenario } from './measure.ts';
import type { LineResult } from './results.ts';
import type { Program, Server } from './server.ts';
import { filesystemStorage } from './storage/filesystem.ts';

/** A program that takes `serve <config.yml>` and answers with its process id, but is not ready at first. */
const program = `
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
const [command, file] = process.argv.slice(2);
if (command !== 'serve') process.exit(1);
const port = /127\\.0\\.0\\.1:(\\d+)/.exec(readFileSync(file, 'utf8'))[1];
console.log('a word in the log');
let ready = false;
createServer((_, response) => {
  response.writeHead(ready ? 200 : 503).end(String(process.pid));
  ready = true;
}).listen(port, '127.0.0.1');
`;

describe('a scenario', () => {
  let folder: string;
  let programs: Program[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bench-measure-'));
    await writeFile(join(folder, 'program.mjs'), program);
    const command: Program['command'] = [process.execPath, join(folder, 'program.mjs')];
    programs = [
      { name: 'one', command },
      { name: 'two', command },
    ];
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function measure(line: Partial<Line>, fresh: boolean) {
    const events: string[] = [];
    const pids = new Set<number>();
    const full: Line = {
      name: 'a line',
      unit: 'ops/s',
      async prepare(server, turn) {
        pids.add(server.pid);
        return async () => {
          events.push(`${server.name}${turn.warmUp ? ' warm-up' : ''} ${turn.number}`);
          await (await fetch(server.url)).text();
          return { amount: 1, seconds: 1, total: 1, samples: [] };
        };
      },
      ...line,
    };
    const scenario: Scenario = { lines: [full], fresh, spacePerRound: 0 };
    const load = { prepare: () => Promise.reject(new Error('not used')), stop: async () => {} };
    const sizes = { blobMib: 1, repositories: 1, tags: 1 };
    const bench: Bench = { load, sizes, folder, signal: AbortSignal.timeout(60_000) };
    const results: LineResult[] = [];
    const finished = async (result: LineResult) => void results.push(result);
    const storage = filesystemStorage(folder);
    const options = { programs, storage, rounds: 2, seconds: 1, cores: 1, progress: () => {}, finished };
    await measureScenario(bench, scenario, options);
    return { events, pids, results };
  }

  it('lets the registries take turns, each after its warm-up', async () => {
    const { events, pids, results } = await measure({}, false);
    const rounds = [2, 4].map((number) => [
      `one warm-up ${number}`,
      `one ${number + 1}`,
      `two warm-up ${number}`,
      `two ${number + 1}`,
    ]);
    expect(events).toEqual(rounds.flat());
    expect(pids.size).toBe(2);
    expect(results.map(({ registries }) => registries.map(({ rounds }) => rounds.length))).toEqual([[2, 2]]);
  });

  it('starts a registry for each measurement and does not warm it up, where the line says so', async () => {
    const { events, pids } = await measure({}, true);
    expect(events).toEqual(['one 3', 'two 3', 'one 5', 'two 5']);
    expect(pids.size).toBe(4);
  });

  it('looks at the answers before the first and after the last round, and keeps what is to be known', async () => {
    const checked: string[] = [];
    const check = async (server: Server) => {
      checked.push(server.name);
      return server.name === 'two' ? 'is odd' : undefined;
    };
    const { results } = await measure({ check }, false);
    expect(checked).toEqual(['one', 'two', 'one', 'two']);
    expect(results[0]?.registries.map(({ note }) => note)).toEqual([undefined, 'is odd']);
  });

  it('ends with the name of the registry and its log when an answer is wrong, and leaves nothing behind', async () => {
    let pid = 0;
    const check = async (server: Server) => {
      pid = server.pid;
      throw new Error('a wrong answer');
    };
    await expect(measure({ check }, false)).rejects.toThrow(/one, a line: a wrong answer\n.*\na word in the log/);
    await expect(access(`/proc/${pid}`)).rejects.toThrow('ENOENT');
    expect(await readdir(folder)).toEqual(['program.mjs']);
  });

  it('says what a registry wrote that cannot be started', async () => {
    programs = [{ name: 'broken', command: ['sh', '-c', 'echo no luck; exit 1'] }];
    await expect(measure({}, false)).rejects.toThrow(/broken cannot be started .*\nno luck/);
  });
});
