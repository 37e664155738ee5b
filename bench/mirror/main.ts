import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { digestOf, expectContent, manifestType, pushBlob, pushManifest } from '../api.ts';
import { runProgram } from '../children.ts';
import { type Descriptor, layerOf, makeImage } from '../image.ts';
import { Connection } from '../load/connection.ts';
import { Content } from '../load/content.ts';
import { pushContent } from '../load/requests.ts';
import { describeMachine } from '../machine/describe.ts';
import { resetPeakMemory, usageOf } from '../machine/usage.ts';
import { type Program, type Server, startServer } from '../server.ts';
import { ratios, type Spread, spread } from '../statistics.ts';
import { filesystemStorage } from '../storage/filesystem.ts';
import { machineText } from '../table.ts';
import { runWrk } from '../wrk.ts';
import { type Line, startLine } from './line.ts';
import { type Pull, pullBy } from './pull.ts';

/*
 * What a mirror costs and gains: berth's and that of distribution 2.8.2 (`proxy`) in front of the same registry, beside that
 * registry itself. Run it with `npm run bench:mirror [rounds] [pattern of lines]`.
 */

const rounds = Number(process.argv[2] ?? 3);
if (!Number.isSafeInteger(rounds) || rounds < 1) {
  console.error('npm run bench:mirror [-- <rounds, 3> [<pattern of the lines, all>]]');
  process.exit(2);
}
const only = new RegExp(process.argv[3] ?? '');
const seconds = 3;
const images = 50;
const crowd = 50;
const mib = 1 << 20;
const { signal } = new AbortController();
const folder = await mkdtemp('/var/tmp/berth-bench-mirror-');
const storage = filesystemStorage(folder);
const berth: Program['command'] = [process.execPath, fileURLToPath(new URL('../../src/main.js', import.meta.url))];

/** Where an image is pulled from. */
type Way = Pick<Server, 'name' | 'port'>;

const servers: Server[] = [];

async function start(name: string, command: Program['command'], sections?: object): Promise<Server> {
  const setup = {
    place: storage.place(name),
    access: 'straight',
    redirect: false,
    ...(sections && { sections }),
  } as const;
  const server = await startServer({ name, command }, join(folder, name), setup, signal);
  servers.push(server);
  return server;
}

const mirrorOf = (url: string) => ({
  mirror: { upstreams: [{ name: 'upstream.example', endpoints: [url], default: true }] },
});
let line: Line | undefined;
try {
  const direct = await start('direct', ['docker-registry']);
  const proxy = await start('proxy', ['docker-registry'], { proxy: { remoteurl: direct.url } });
  const mirror = await start('mirror', berth, mirrorOf(direct.url));
  const near = [direct, proxy, mirror];
  // A gigabit in a second, as there is at best between sites.
  line = await startLine(direct.port, 125e6);
  const far: Way[] = [
    { name: 'direct', port: line.port },
    await start('far-proxy', ['docker-registry'], { proxy: { remoteurl: line.url } }),
    await start('far-mirror', berth, mirrorOf(line.url)),
  ];
  console.log(machineText(await describeMachine(folder)));

  const repository = 'team/app';
  const made = Array.from({ length: images }, (_, index) => ({
    ...makeImage(`mirror-${index}`, []),
    tag: `v${index}`,
  }));
  for (const { config, manifest, tag } of made) {
    await pushBlob(direct.url, repository, config, signal);
    await pushManifest(direct.url, repository, tag, manifest, signal);
  }
  const layer = new Content(64 * mib);
  const connection = new Connection(direct.port);
  await pushContent(connection, repository, 'POST+PUT', layer, 0);
  connection.close();
  const manifests = `/v2/${repository}/manifests`;
  const blobs = `/v2/${repository}/blobs`;
  const large: Pull = {
    repository,
    tag: 'v0',
    blobs: Array.from({ length: 4 }, () => ({ digest: layer.digest(0), size: layer.size })),
  };
  for (const { url } of near) {
    for (const { configDigest, manifestDigest, tag } of made) {
      await expectContent(`${url}${manifests}/${tag}`, manifestDigest, signal);
      await expectContent(`${url}${manifests}/${manifestDigest}`, manifestDigest, signal);
      await expectContent(`${url}${blobs}/${configDigest}`, configDigest, signal);
    }
    await expectContent(`${url}${blobs}/${layer.digest(0)}`, layer.digest(0), signal);
  }

  const warm = [
    { what: 'manifest GET by tag', paths: made.map(({ tag }) => `${manifests}/${tag}`), smallest: 300 },
    {
      what: 'manifest GET by digest',
      paths: made.map((image) => `${manifests}/${image.manifestDigest}`),
      smallest: 300,
    },
    { what: 'small blob GET', paths: made.map(({ configDigest }) => `${blobs}/${configDigest}`), smallest: 2048 },
  ];
  for (const { what, paths, smallest } of warm) {
    const wrk = { paths, smallest, accept: manifestType, connections: 16, folder, signal };
    await compare(`warm ${what}, 16 connections`, '/s', 'higher', async ({ port }, round) => {
      const work = await runWrk({ ...wrk, url: `http://127.0.0.1:${port}`, seconds: round === 0 ? 1 : seconds });
      return work.amount / work.seconds;
    });
  }
  await compare('warm blob GET of 64 MiB, 12 connections', ' MB/s', 'higher', async ({ port }) => {
    const clients = 4;
    const bytes = clients * large.blobs.length * layer.size;
    return bytes / 1e6 / (await pullBy(clients, port, large));
  });

  const layers = [32 * 1024, mib, 16 * mib, 64 * mib].map((size) => new Content(size));
  const pulls: Pull[] = [];
  for (let round = 0; round <= rounds; round++) pulls.push(await pushed(layers, `cold-${round}`, round + 1));
  await runProgram('sync', []);
  const cold = ({ port }: Way, round: number) => pullBy(1, port, pulls[round] as Pull);
  await compare('cold pull of an image of 81 MiB, 1 client', ' s', 'lower', cold);
  await compare('cold pull over a line of 1 Gbit/s', ' s', 'lower', cold, far);

  const heavy = [...layers.slice(0, 3), new Content(256 * mib)];
  const uncached: number[] = [];
  const cached: number[] = [];
  const peaks: number[] = [];
  for (let round = 1; only.test('clients at once') && round <= rounds; round++) {
    const pull = await pushed(heavy, `crowd-${round}`, 1000 + round);
    await runProgram('sync', []);
    await resetPeakMemory(mirror.pid);
    uncached.push(await pullBy(crowd, mirror.port, pull));
    peaks.push((await usageOf(mirror.pid)).peakMemory / mib);
    cached.push(await pullBy(crowd, mirror.port, pull));
  }
  if (uncached.length > 0) {
    console.log(`\n${crowd} clients at once, an image of 273 MiB, until the last one is done`);
    console.log(`  uncached ${show(spread(uncached), ' s')}, cached ${show(spread(cached), ' s')}`);
    console.log(`  ${show(ratios(uncached, cached))} × the time of cached; peak RSS ${show(spread(peaks), ' MiB')}`);
  }

  /** Measures all in turn, round by round, the first of them being a warm-up. @param ways direct, through distribution, through berth */
  async function compare(
    what: string,
    unit: string,
    better: 'higher' | 'lower',
    measure: (way: Way, round: number) => Promise<number>,
    ways: readonly Way[] = near,
  ): Promise<void> {
    if (!only.test(what)) return;
    const found = ways.map((): number[] => []);
    for (let round = 0; round <= rounds; round++) {
      for (const [index, way] of ways.entries()) {
        const value = await measure(way, round);
        if (round > 0) found[index]?.push(value);
      }
    }
    console.log(`\n${what} (${better} is better)`);
    const [toDirect = [], toProxy = []] = found;
    for (const [index, values] of found.entries()) {
      const against = `${show(ratios(values, toDirect))} × direct, ${show(ratios(values, toProxy))} × proxy`;
      console.log(`  ${ways[index]?.name.padEnd(10)} ${show(spread(values), unit)}; ${against}`);
    }
  }

  /** An image of its own, with one blob of each content. @param number of the content */
  async function pushed(contents: readonly Content[], tag: string, number: number): Promise<Pull> {
    const parts: Descriptor[] = [];
    for (const content of contents) {
      const to = new Connection(direct.port);
      await pushContent(to, repository, 'POST+PUT', content, number);
      to.close();
      parts.push(layerOf(content.digest(number), content.size));
    }
    const { config, manifest } = makeImage(tag, parts);
    await pushBlob(direct.url, repository, config, signal);
    await pushManifest(direct.url, repository, tag, manifest, signal);
    return { repository, tag, blobs: [{ digest: digestOf(config), size: config.length }, ...parts] };
  }
} catch (error) {
  for (const server of servers) console.error(`${server.name}: ${await server.lastWords()}`);
  throw error;
} finally {
  line?.close();
  await Promise.all(servers.map((server) => server.stop()));
  await rm(folder, { recursive: true, force: true });
}

/** Median, smallest and largest, with three figures. */
function show({ median, min, max }: Spread, unit = ''): string {
  const [a, b, c] = [median, min, max].map((value) => Number(value.toPrecision(3)));
  return `${a}${unit} (${b}..${c})`;
}
