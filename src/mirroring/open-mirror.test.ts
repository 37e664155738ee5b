import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createDriver } from '../../storage-drivers/index.ts';
import { fileWith, loadText } from '../config/testing/load-text.ts';
import type { Log } from '../http/log.ts';
import { imageOf, startUpstreamRegistry } from '../mirror/testing/upstream-registry.ts';
import { createLog } from '../observe/log.ts';
import { type Digest, digestOf } from '../oci/digest.ts';
import { parseRepositoryName, type Tag } from '../oci/name.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import { createSharedStore } from '../shared-store.ts';
import { type OpenMirror, openMirror } from './open-mirror.ts';
import { readMirrorStatus, statusStore } from './status.ts';

const log = createLog({ level: 'error', formatter: 'text', accessLog: false });

/** Opens what a file asks for. */
async function open(text: string, told: Log = log): Promise<{ mirror: OpenMirror; driver: StorageDriver }> {
  const { config } = await loadText(text);
  const driver = createDriver('inmemory', {});
  const registry = createStorageRegistry({ driver });
  const parts = { hosted: registry, store: registry, driver, log: told, userAgent: 'berth/test' };
  return { mirror: openMirror(config, parts), driver };
}

test.each([
  ['https://registry-1.docker.io', 'docker.io'],
  ['https://registry.example:5000/', 'registry.example:5000'],
])('a proxy of %s calls it %s', async (remoteurl, name) => {
  const { mirror } = await open(fileWith(`proxy: {remoteurl: "${remoteurl}"}`));
  expect(mirror.report?.().upstreams.map((upstream) => upstream.name)).toEqual([name]);
  await mirror.close();
});

test.each([
  ['mirrors nothing', fileWith('')],
  ['has a proxy of nothing', fileWith('proxy: {ttl: 1h}')],
])('a registry that %s asks nobody', async (_, text) => {
  const { mirror } = await open(text);
  expect([mirror.report, mirror.upstreams]).toEqual([undefined, []]);
  await mirror.close();
});

test('what cannot be deleted at the end keeps the rest from nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-open-mirror-'));
  const upstream = await startUpstreamRegistry();
  onTestFinished(async () => {
    await upstream.close();
    await rm(folder, { recursive: true });
  });
  const image = imageOf('layer');
  upstream.push('team/app', image, 'latest');
  const spool = join(folder, 'spool');
  const upstreams = [{ name: 'a.example', endpoints: [upstream.url] }];
  const errors: string[] = [];
  const answers: unknown[] = [];
  const told: Log = {
    ...log,
    error: (message) => void errors.push(message),
    debug: (message, fields) => void (message === 'an upstream has answered' && answers.push(fields)),
  };
  const { mirror, driver } = await open(fileWith(`mirror: ${JSON.stringify({ spool, upstreams })}`), told);
  mirror.start();

  const [digest] = image.blobs.map((blob) => digestOf(blob));
  const { blobs } = mirror.registry.repository(parseRepositoryName('a.example/team/app'));
  const reader = await (await blobs.get(digest as Digest)).open();
  for await (const _ of reader);
  await mirror.settled(digest as Digest);
  expect(answers).toContainEqual({
    endpoint: upstream.url,
    request: `GET ${upstream.url}/v2/team/app/blobs/${digest}`,
    status: 200,
    milliseconds: expect.any(Number),
  });
  await rm(spool, { recursive: true });
  await writeFile(spool, 'in its place');

  await mirror.close();
  expect(errors).toEqual(['the mirror could not be closed in order']);
  const { processes } = await readMirrorStatus(createSharedStore(driver, statusStore));
  expect(processes).toEqual({ running: 0, ended: 1 });
});

test('the log says which endpoint of which upstream is left alone, and until when', async () => {
  const server = createServer((_, response) => response.writeHead(429, { 'Retry-After': '30' }).end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const warnings: unknown[] = [];
  const told: Log = { ...log, warn: (...line) => void warnings.push(line) };
  const upstreams = [{ name: 'a.example', endpoints: [endpoint] }];
  const { mirror } = await open(fileWith(`mirror: ${JSON.stringify({ upstreams })}`), told);

  const { manifests } = mirror.registry.repository(parseRepositoryName('a.example/team/app'));
  await expect(manifests.get('latest' as Tag)).rejects.toThrow('wants fewer requests');
  await mirror.close();
  const until = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  expect(warnings).toEqual([
    [
      'the circuit breaker of an endpoint has changed',
      { upstream: 'a.example', endpoint, state: 'throttled', failures: 0, until },
    ],
  ]);
});
