import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName } from '../oci/name.ts';
import type { Manifest, Repository } from '../registry/registry.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import type { EndpointSettings } from './notifications/endpoint.ts';
import type { Event } from './notifications/event.ts';
import { createNotifications, type Visit } from './notifications.ts';

const visit: Visit = {
  id: 'one',
  addr: '192.0.2.1',
  host: 'registry',
  method: 'GET',
  useragent: 'a client',
  user: '',
  base: 'http://registry/v2/',
};

type Answer = (response: ServerResponse) => void;

/** A receiver, and those who tell it. @param answer what it does with each request */
async function setUp(endpoint: Partial<EndpointSettings>, answer: Answer = (response) => void response.end()) {
  const heard: Event[] = [];
  const headers: IncomingHttpHeaders[] = [];
  const warnings: unknown[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    heard.push(...(JSON.parse(Buffer.concat(chunks).toString()) as { events: Event[] }).events);
    headers.push(request.headers);
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const settings = { timeout: 1_000, threshold: 10, backoff: 1_000, disabled: false, headers: {} };
  const ignoring = { ignoredmediatypes: [], ignore: { mediatypes: [], actions: [] } };
  const notifications = createNotifications({
    events: { includereferences: true },
    endpoints: [
      { ...settings, ...ignoring, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...endpoint },
    ],
    addr: ':5000',
    log: { info: () => undefined, warn: (_, fields) => void warnings.push(fields) },
  });
  if (notifications === undefined) throw new TypeError('there is an endpoint');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await notifications.close(0);
  });
  const numbers = () => notifications.numbers()[0];
  return { heard, headers, warnings, notifications, numbers };
}

const content = Buffer.from('no JSON');
const digest = digestOf(content);
const repository: Repository = createStorageRegistry({ driver: createInMemoryDriver() }).repository(
  parseRepositoryName('a/b'),
);

function holding(manifest: Buffer): Repository {
  const descriptor = { mediaType: 'application/json', digest, size: manifest.length };
  return {
    ...repository,
    manifests: { ...repository.manifests, get: async (): Promise<Manifest> => ({ descriptor, content: manifest }) },
  };
}

async function pull({ notifications }: Awaited<ReturnType<typeof setUp>>, manifest = content, by = visit) {
  const watch = notifications.watch(holding(manifest));
  await watch.repository.manifests.get(digest);
  watch.succeeded(by);
}

test.each<[string, Answer]>([
  ['does not end', (response) => void response.writeHead(200).write('x')],
  [
    'breaks off',
    (response) => void response.writeHead(200, { 'Content-Length': 10 }).write('x', () => response.destroy()),
  ],
  ['cannot be read', (response) => void response.writeHead(200, { 'Content-Encoding': 'gzip' }).end('x')],
])('an event is taken when the status says so, though the body behind it %s', async (_, answer) => {
  const scene = await setUp({ timeout: 100 }, answer);
  await pull(scene);
  await expect.poll(scene.numbers).toMatchObject({ successes: 1, errors: 0, failures: 0, pending: 0 });
  expect(scene.heard).toHaveLength(1);
});

test('an endpoint that does not answer is called so', async () => {
  const scene = await setUp({ timeout: 50 }, () => undefined);
  await pull(scene);
  await expect.poll(() => scene.warnings).toMatchObject([{ error: new Error('does not answer within 50 ms') }]);
});

test('times that no timer can wait for are as long as one can', async () => {
  const scene = await setUp({ timeout: 2 ** 32, backoff: 2 ** 32, threshold: 1 }, (response) => {
    setTimeout(() => response.writeHead(503).end(), 50);
  });
  await pull(scene);
  await expect.poll(scene.numbers).toMatchObject({ failures: 1, errors: 0 });
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(scene.numbers()).toMatchObject({ failures: 1, errors: 0, pending: 1 });
});

test('a manifest that is no JSON refers to nothing', async () => {
  const scene = await setUp({});
  await pull(scene);
  await expect.poll(() => scene.heard).toMatchObject([{ target: { references: [] } }]);
});

test('headers that are configured go before our own', async () => {
  const scene = await setUp({ headers: { 'user-agent': ['mine'], Host: ['receiver'], 'X-Several': ['a', 'b'] } });
  await pull(scene);
  await expect
    .poll(() => scene.headers)
    .toMatchObject([{ 'user-agent': 'mine', host: 'receiver', 'x-several': 'a, b' }]);
});

test('large events that wait take a bounded part of the memory', async () => {
  const scene = await setUp({ timeout: 60_000 }, () => undefined);
  const layers = Array.from({ length: 40_000 }, () => ({ digest, size: 1 }));
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, layers }));
  for (let count = 0; count < 15; count += 1) await pull(scene, manifest);
  const { pending, dropped } = scene.numbers() ?? { pending: 0, dropped: 0 };
  expect(pending + dropped).toBe(15);
  expect(pending * manifest.length).toBeLessThan(40 * 1024 * 1024);
  expect(pending).toBeGreaterThan(3);
});
