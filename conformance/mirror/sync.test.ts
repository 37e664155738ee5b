import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Artifact, imageOf, noiseImage } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { requireTool } from '../harness/require-tool.ts';
import { type RunResult, run } from '../harness/run.ts';
import { berthCommand, type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* What is fetched ahead, by `berth mirror sync` beside a running server and by its own schedule. */

let folder: TemporaryFolder;
let upstream: CountedUpstream;
let origin: RegistryClient;
let mirror: Server;
let client: RegistryClient;
const at = (name: string) => join(folder.path, name);
const name = () => `team/${randomUUID()}`;
const scheduled = name();

beforeAll(async () => {
  folder = await temporaryFolder('berth-sync-');
  upstream = await startUpstream();
  origin = createRegistryClient(upstream.registry.url);
  await origin.push(scheduled, noiseImage(scheduled), 'v1');
  mirror = await startBerth({
    config: {
      mirror: {
        upstreams: [
          { name: 'docker.io', default: true, endpoints: [upstream.url] },
          { name: 'gone.example', endpoints: ['http://127.0.0.1:1'] },
        ],
        // Its own times are tested with a clock that can be set.
        schedule: [{ cron: '* * * * *', images: [`${scheduled}:v*`] }],
      },
    },
  });
  client = createRegistryClient(mirror.url);
});
afterAll(async () => {
  origin?.close();
  client?.close();
  await mirror?.stop();
  await upstream?.stop();
  await folder?.remove();
});

const [command, ...first] = berthCommand();
const argumentsOf = (...args: string[]) => [...first, 'mirror', 'sync', '--config', mirror.configFile, ...args];
const sync = (...args: string[]): Promise<RunResult> => run(command, argumentsOf(...args));
const asked = (repository: string, kind = 'blobs') =>
  upstream.requests.filter((request) => request.startsWith(`GET /v2/${repository}/${kind}/`));

/** That it is served, with nobody behind the server. */
async function expectServed(repository: string, tag: string, { manifest, blobs }: Artifact): Promise<void> {
  expect((await client.getManifest(repository, tag)).body.equals(manifest.bytes)).toBe(true);
  for (const { digest, bytes } of blobs)
    expect((await client.getBlob(repository, digest)).body.equals(bytes)).toBe(true);
}

test('a list is fetched beside the server, which serves it when the upstream is gone', async () => {
  const repositories = [name(), name()];
  const images = repositories.map((repository) => noiseImage(repository));
  for (const [index, repository] of repositories.entries())
    await origin.push(repository, images[index] as Artifact, 'v1');
  await writeFile(at('images.txt'), `# what we run\n${repositories[0]}:v1\ndocker.io/${repositories[1]}:v1 # both\n`);
  const { code, stdout, stderr } = await sync('--jobs', '20', '--referrers', at('images.txt'));
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(stdout).toContain(`docker.io/${repositories[0]}:v1: `);
  expect(stdout).toMatch(/^2 images: fetched \d+ blobs \(.* KiB\), 0 failed$/m);
  expect(stdout).not.toContain('\r');

  await upstream.down();
  for (const [index, repository] of repositories.entries())
    await expectServed(`docker.io/${repository}`, 'v1', images[index] as Artifact);
  await upstream.up();
  upstream.requests.length = 0;
  expect((await sync(at('images.txt'))).stdout).toMatch(
    /^2 images: fetched nothing, had \d+ blobs \(.* KiB\), 0 failed$/m,
  );
  expect(upstream.requests.filter((request) => request.startsWith('GET') && !request.includes(scheduled))).toEqual([]);
});

test('one that fails is named with the reason, and the others come', async () => {
  const good = name();
  const image = noiseImage(good);
  await origin.push(good, image, 'v1');
  const missing = `${name()}:v1`;
  const { code, stdout, stderr } = await sync(missing, 'gone.example/team/app:1', `${good}:v1`);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^3 images: .* 2 failed$/m);
  expect(stderr).toMatch(new RegExp(`^docker\\.io/${missing}: docker\\.io: .*404`, 'm'));
  expect(stderr).toMatch(/^gone\.example\/team\/app:1: gone\.example: .*/m);
  await upstream.down();
  await expectServed(good, 'v1', image);
  await upstream.up();
});

test('what cannot be meant is refused before anything comes', async () => {
  const good = name();
  await writeFile(at('wrong.txt'), `${good}:v1\nghcr.io/team/app\n`);
  const { code, stderr } = await sync(at('wrong.txt'));
  expect(code).toBe(1);
  expect(stderr).toBe(`berth: ${at('wrong.txt')}:2: ghcr.io/team/app: ghcr.io is not among mirror.upstreams\n`);
  expect(asked(good, 'manifests')).toEqual([]);
  expect((await sync(at('missing.txt'))).stderr).toContain('ENOENT');
});

test('a dry run says how much would come, and fetches nothing', async () => {
  const repository = name();
  const layer = blob(randomBytes(300_000));
  await origin.push(repository, imageOf([layer]), 'v1');
  const { code, stdout } = await sync('--dry-run', `${repository}:v1`);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^1 image: would fetch 2 blobs \(293 KiB\), 0 failed$/m);
  expect(asked(repository)).toEqual([]);
  const { stdout: list } = await run(command, argumentsOf('--dry-run', '-'), { input: `${repository}:*\n` });
  expect(list).toContain(`docker.io/${repository}:v1: would fetch 2 blobs (293 KiB)`);
});

describe('an interruption', () => {
  test('ends it, and the next run fetches what is missing', async () => {
    const repository = name();
    const layers = [1, 2, 3, 4].map(() => blob(randomBytes(2 * 1024 * 1024)));
    const image = imageOf(layers);
    await origin.push(repository, image, 'v1');
    upstream.speed = 2 * 1024 * 1024;
    upstream.requests.length = 0;
    const child = spawn(command, argumentsOf('--jobs', '1', `${repository}:v1`), { stdio: ['ignore', 'pipe', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
    while (asked(repository).length < 4) await delay(50);
    const interrupted = performance.now();
    child.kill('SIGINT');
    expect(await exit).toBe(130);
    expect(performance.now() - interrupted).toBeLessThan(5_000);
    expect(stderr).toContain('interrupted');
    const gathered = await readdir(join(mirror.dataDir, '_berth/mirror/incoming'), {
      withFileTypes: true,
      recursive: true,
    });
    expect(gathered.filter((entry) => entry.isFile())).toEqual([]);
    const before = new Set(asked(repository));
    upstream.speed = undefined;
    upstream.requests.length = 0;
    expect((await sync(`${repository}:v1`)).code).toBe(0);
    // What was under way comes again, what was whole does not.
    expect(asked(repository).filter((request) => before.has(request))).toHaveLength(1);
    await upstream.down();
    await expectServed(repository, 'v1', image);
    await upstream.up();
  });
});

test('a terminal has a bar with bytes, their rate and images', async () => {
  const repository = name();
  await origin.push(repository, imageOf([blob(randomBytes(3 * 1024 * 1024))]), 'v1');
  upstream.speed = 4 * 1024 * 1024;
  const line = [command, ...argumentsOf(`${repository}:v1`)].map((part) => `'${part}'`).join(' ');
  const { stdout } = await run(requireTool('script'), ['-qec', line, '/dev/null']);
  upstream.speed = undefined;
  expect(stdout).toMatch(/\[#+-+\] [\d.]+ MiB of 3\.00 MiB, [\d.]+ \wiB\/s, 0 of 1 images/);
  expect(stdout).toContain('1 image: fetched 2 blobs (3.00 MiB)');
});

test('the schedule of the server fetches, and says so in the log', async () => {
  for (let tries = 0; tries < 200 && !mirror.logs().includes('fetched images ahead'); tries += 1) await delay(500);
  expect(mirror.logs()).toMatch(/fetched images ahead.*failed=0/);
  expect(asked(scheduled).length).toBeLessThanOrEqual(4);
  await upstream.down();
  await expectServed(`docker.io/${scheduled}`, 'v1', noiseImage(scheduled));
  await upstream.up();
});
