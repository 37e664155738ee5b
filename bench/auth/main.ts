import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { digestOf, expectContent, manifestType, pushBlob, pushManifest } from '../api.ts';
import { runProgram } from '../children.ts';
import { makeImage } from '../image.ts';
import { describeMachine } from '../machine/describe.ts';
import { usageOf } from '../machine/usage.ts';
import { type Server, startServer } from '../server.ts';
import { ratios, type Spread, spread } from '../statistics.ts';
import { filesystemStorage } from '../storage/filesystem.ts';
import { machineText } from '../table.ts';
import { runWrk } from '../wrk.ts';

/*
 * What access control costs: berth with auth.builtin beside berth without, on the same volume at the same time. Run it with
 * `npm run bench:auth [rounds]`.
 */

const rounds = Number(process.argv[2] ?? 5);
const seconds = 5;
const images = 50;
const { signal } = new AbortController();
const berth = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const folder = await mkdtemp('/var/tmp/berth-bench-auth-');
const storage = filesystemStorage(folder);
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

async function start(name: string, auth?: object): Promise<Server> {
  const program = { name, command: [process.execPath, berth] as const };
  const place = storage.place('shared');
  return startServer(
    program,
    join(folder, name),
    { place, access: 'straight', redirect: false, ...(auth && { auth }) },
    signal,
  );
}

/** Median, smallest and largest, with three figures. */
function show({ median, min, max }: Spread, unit = ''): string {
  const [a, b, c] = [median, min, max].map((value) => Number(value.toPrecision(3)));
  return `${a}${unit} (${b}..${c})`;
}

const open = await start('open');
const users = join(folder, 'users');
// The usual cost, as the figures are about it.
await runProgram('htpasswd', ['-cbB', '-C', '10', users, 'alice', 'secret'], { signal });
const policy = [
  { repositories: ['public/**'], who: ['anonymous'], actions: ['pull'] },
  { repositories: ['team/**'], who: ['user:alice'], actions: ['push'] },
  ...Array.from({ length: 20 }, (_, index) => ({
    repositories: [`group-${index}/**`],
    who: [`user:somebody-${index}`],
    actions: ['push'],
  })),
];
const closed = await start('builtin', { builtin: { users, policy } });
const servers = [open, closed];

try {
  console.log(machineText(await describeMachine(folder)));
  const made = Array.from({ length: images }, (_, index) => ({ ...makeImage(`auth-${index}`, []), tag: `v${index}` }));
  for (const { config, manifest, tag } of made) {
    for (const name of ['public/app', 'team/app']) {
      await pushBlob(open.url, name, config, signal);
      await pushManifest(open.url, name, tag, manifest, signal);
    }
  }
  const paths = (name: string) => made.map(({ tag }) => `/v2/${name}/manifests/${tag}`);
  const smallest = Math.min(...made.map(({ manifest }) => manifest.length));
  for (const [index, path] of paths('public/app').entries()) {
    await expectContent(closed.url + path, digestOf(made[index]?.manifest ?? Buffer.of()), signal);
  }
  const scope = encodeURIComponent('repository:team/app:pull');
  const answer = await fetch(`${closed.url}/auth/token?service=berth&scope=${scope}`, {
    headers: { Authorization: basic('alice', 'secret') },
  });
  const { token } = (await answer.json()) as { token: string };

  const ways = [
    { name: 'open', server: open, repository: 'team/app', authorization: undefined },
    { name: 'public, nobody logged in', server: closed, repository: 'public/app', authorization: undefined },
    { name: 'private, with a token', server: closed, repository: 'team/app', authorization: `Bearer ${token}` },
    {
      name: 'private, with a password',
      server: closed,
      repository: 'team/app',
      authorization: basic('alice', 'secret'),
    },
  ] as const;
  const rates = ways.map((): number[] => []);
  const costs = ways.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [index, { server, repository, authorization }] of ways.entries()) {
      const before = await usageOf(server.pid);
      const work = await runWrk({
        url: server.url,
        paths: paths(repository),
        accept: manifestType,
        authorization,
        smallest,
        seconds: round === 0 ? 1 : seconds,
        connections: 16,
        folder,
        signal,
      });
      const used = (await usageOf(server.pid)).cpuSeconds - before.cpuSeconds;
      // The first round is a warm-up.
      if (round === 0) continue;
      rates[index]?.push(work.amount / work.seconds);
      costs[index]?.push((used * 1e6) / work.amount);
    }
  }
  console.log('\nmanifest GET by tag, 16 connections');
  for (const [index, { name }] of ways.entries()) {
    const [rate = [], cost = []] = [rates[index], costs[index]];
    console.log(
      `  ${name.padEnd(26)} ${show(spread(rate))}/s, CPU ${show(spread(cost), ' µs')}; ${show(ratios(cost, costs[0] ?? []))} × the CPU of open`,
    );
  }

  const logins: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const work = await runWrk({
      url: closed.url,
      paths: [`/auth/token?service=berth&scope=${scope}`],
      accept: 'application/json',
      authorization: basic('alice', 'secret'),
      smallest: token.length,
      seconds: round === 0 ? 1 : seconds,
      connections: 16,
      folder,
      signal,
    });
    if (round > 0) logins.push(work.amount / work.seconds);
  }
  console.log(`\nlogins with a password that was verified before: ${show(spread(logins))}/s`);

  const storm = 200;
  const quiet: number[] = [];
  const loud: number[] = [];
  console.log(`\nGET of a public manifest, 200 in a second, while ${storm} wrong logins in a second come`);
  for (let round = 0; round <= rounds; round++) {
    const still = await latencies(closed, paths('public/app'));
    const child = await startStorm(closed.port, storm);
    await wait(2_000);
    const disturbed = await latencies(closed, paths('public/app'));
    const told = await endStorm(child);
    if (round === 0) {
      console.log(`  answers to the storm: ${told}`);
      continue;
    }
    quiet.push(percentile(still, 99));
    loud.push(percentile(disturbed, 99));
    await wait(3_000);
  }
  console.log(
    `  99th percentile without ${show(spread(quiet), ' ms')}, with ${show(spread(loud), ' ms')}: ${show(ratios(loud, quiet))} ×`,
  );
} catch (error) {
  for (const server of servers) console.error(`${server.name}: ${await server.lastWords()}`);
  throw error;
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  await rm(folder, { recursive: true, force: true });
}

/** In milliseconds, of 200 requests in a second for some seconds, whether or not those before are answered. */
async function latencies(server: Server, paths: readonly string[]): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  const found: number[] = [];
  const running: Promise<void>[] = [];
  const begun = performance.now();
  for (let number = 0; number < 200 * seconds; number++) {
    const late = begun + number * 5 - performance.now();
    if (late > 0) await wait(late);
    running.push(
      new Promise((resolve, reject) => {
        const time = performance.now();
        get(server.url + paths[number % paths.length], { agent, headers: { Accept: manifestType } }, (reply) => {
          reply.resume().once('end', () => {
            if (reply.statusCode !== 200) reject(new Error(`a GET in the storm: ${reply.statusCode}`));
            found.push(performance.now() - time);
            resolve();
          });
        }).once('error', reject);
      }),
    );
  }
  await Promise.all(running);
  agent.destroy();
  return found;
}

function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1] ?? Number.NaN;
}

async function startStorm(port: number, rate: number): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('storm.js', import.meta.url));
  return fork(program, [String(port), String(rate)]);
}

async function endStorm(child: ChildProcess): Promise<string> {
  const told = new Promise((resolve) => child.once('message', resolve));
  child.send('end');
  const text = JSON.stringify(await told);
  child.disconnect();
  return text;
}
