import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../oci/digest.ts';
import { parseRepositoryName } from '../../oci/name.ts';
import { createUpstreamClient, type UpstreamClient, type UpstreamClientOptions } from './client.ts';
import type { UpstreamError } from './errors.ts';
import type { UpstreamEvent } from './events.ts';
import type { Timeouts } from './http.ts';
import {
  accept,
  bytesOf,
  clientOf,
  type Handler,
  impatient,
  type LyingUpstream,
  latest,
  manifestDigest,
  oneManifest,
  repository,
  sendError,
  sendManifest,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

let accelerator: LyingUpstream;
let origin: LyingUpstream;
let client: UpstreamClient;
let events: UpstreamEvent[];
let time: number;

function clientWith(options: Partial<UpstreamClientOptions> = {}): UpstreamClient {
  return clientOf([accelerator, origin], { now: () => time, onEvent: (event) => events.push(event), ...options });
}

beforeEach(async () => {
  events = [];
  time = Date.now();
  accelerator = await startLyingUpstream(oneManifest);
  origin = await startLyingUpstream(oneManifest);
  client = clientWith();
});
afterEach(() => Promise.all([client.close(), accelerator.close(), origin.close()]));

const pull = () => client.getManifest(repository, latest, accept);
const answers = (status: number, headers: Record<string, string> = {}): Handler => {
  return (_, response) => sendError(response, status, `CODE_${status}`, headers);
};

describe('endpoints', () => {
  it('are asked in their order', async () => {
    await pull();
    expect([accelerator.requests.length, origin.requests.length]).toEqual([1, 0]);
  });

  it.each<[string, Handler, Timeouts?]>([
    ['lacks it', answers(404)],
    ['does not give it', answers(403)],
    ['asks for a login', answers(401)],
    ['is throttled', answers(429)],
    ['is broken', answers(502)],
    ['is gone', (request) => request.socket.destroy()],
    ['stalls', () => undefined, impatient],
    ['lies', (_, response) => response.end('<html>')],
  ])('after the first are asked when that %s', async (_, handler, timeouts) => {
    accelerator.handler = handler;
    if (timeouts !== undefined) client = clientWith({ timeouts });
    expect((await pull()).descriptor.digest).toBe(manifestDigest);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'failure', endpoint: accelerator.url, error: expect.any(Error) }),
    );
  });

  it('have the last one say what is wrong, as it is the origin', async () => {
    accelerator.handler = answers(404);
    origin.handler = answers(500);
    const error = (await pull().catch((reason: unknown) => reason)) as UpstreamError;
    expect(error).toMatchObject({ kind: 'unreachable', endpoint: origin.url });
    expect(error.previous).toMatchObject([{ kind: 'missing', endpoint: accelerator.url }]);
    accelerator.handler = answers(500);
    origin.handler = answers(404);
    await expect(pull()).rejects.toMatchObject({ kind: 'missing', previous: [{ kind: 'unreachable' }] });
  });

  it('are not changed in the middle of a blob', async () => {
    const content = randomBytes(500_000);
    const headers = { 'content-length': content.length };
    accelerator.handler = (_, response) => {
      response.writeHead(200, headers).write(content.subarray(0, 100_000));
      setTimeout(() => response.destroy(), 20);
    };
    origin.handler = (_, response) => response.writeHead(200, headers).end(content);
    const blob = await client.openBlob(repository, digestOf(content));
    expect(blob.endpoint).toBe(accelerator.url);
    await expect(bytesOf(blob.body)).rejects.toMatchObject({ kind: 'unreachable', endpoint: accelerator.url });
    expect(origin.requests).toEqual([]);
  });

  it('are not asked any more when nobody waits', async () => {
    accelerator.handler = () => undefined;
    const signal = AbortSignal.timeout(30);
    await expect(client.getManifest(repository, latest, accept, signal)).rejects.toThrow('timeout');
    expect(origin.requests).toEqual([]);
  });

  it('get the credentials of the origin only if they are of its site', async () => {
    const withPassword: Handler = (request, response) => {
      if (request.headers.authorization !== undefined) return sendManifest(request, response);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    accelerator.handler = withPassword;
    origin.handler = withPassword;
    const credentials = { username: 'alice', password: 'secret' };
    const own = { username: 'bob', password: 'other' };
    const elsewhere = `http://localhost:${accelerator.port}`;
    const headersOf = async (endpoints: UpstreamClientOptions['endpoints']) => {
      const before = accelerator.requests.length;
      const other = createUpstreamClient({ name: 'x', endpoints, userAgent: 'x', credentials });
      await other.getManifest(repository, latest, accept);
      await other.close();
      return accelerator.requests.slice(before).map(({ headers }) => headers.authorization);
    };
    expect(await headersOf([{ url: elsewhere }, { url: origin.url }])).toEqual([undefined]);
    expect(await headersOf([{ url: accelerator.url }, { url: origin.url }])).toEqual([
      undefined,
      `Basic ${btoa('alice:secret')}`,
    ]);
    expect(await headersOf([{ url: elsewhere, credentials: own }, { url: origin.url }])).toEqual([
      undefined,
      `Basic ${btoa('bob:other')}`,
    ]);
  });

  it('may have repositories below a path', async () => {
    const other = clientOf([{ url: `${origin.url}/v2/quay.io/` }]);
    await other.getManifest(repository, latest, accept);
    await other.close();
    expect(origin.requests.at(-1)?.target).toBe('/v2/quay.io/library/app/manifests/latest');
  });

  it('must be some', () => {
    expect(() => clientOf([])).toThrow(TypeError);
    expect(() => clientOf([{ url: 'registry:5000' }])).toThrow(TypeError);
  });
});

describe('an endpoint that does not answer', () => {
  it('is not asked for a while, and then once', async () => {
    client = clientWith({ breaker: { failures: 3, firstPause: 5_000 } });
    accelerator.handler = (request) => request.socket.destroy();
    for (let count = 0; count < 5; count++) await pull();
    // Each is tried again once, as a connection may have been closed just when it was used.
    expect(accelerator.requests).toHaveLength(6);
    expect(client.status().endpoints[0]?.breaker).toMatchObject({ state: 'open', failures: 3, until: time + 5_000 });
    expect(client.status().endpoints[1]?.breaker).toMatchObject({ state: 'closed' });

    time += 5_000;
    accelerator.handler = oneManifest;
    await pull();
    expect(accelerator.requests).toHaveLength(7);
    expect(client.status().endpoints[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 });
    const changes = events.flatMap((event) => (event.type === 'breaker' ? [event.state.state] : []));
    expect(changes).toEqual(['open', 'probing', 'closed']);
  });

  it('is not one that answers with errors about some names, but these are left alone', async () => {
    client = clientWith({ breaker: { failures: 2 } });
    accelerator.handler = (request, response) =>
      request.url?.includes('/evil/') ? sendError(response, 500, 'UNKNOWN') : sendManifest(request, response);
    origin.handler = answers(404);
    const names = ['evil/a', 'evil/b', 'evil/c'].map(parseRepositoryName);
    for (const name of [...names, ...names, ...names]) {
      await expect(client.getManifest(name, latest, accept)).rejects.toMatchObject({ kind: 'missing' });
    }
    expect(accelerator.requests).toHaveLength(6);
    expect((await pull()).descriptor.digest).toBe(manifestDigest);
    expect(client.status().endpoints[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('says when to try again', async () => {
    client = clientWith({ breaker: { failures: 1, firstPause: 5_000 } });
    accelerator.handler = answers(500);
    origin.handler = answers(500);
    await expect(pull()).rejects.toMatchObject({ kind: 'unreachable', status: 500 });
    await expect(pull()).rejects.toMatchObject({ kind: 'unreachable', status: undefined, retryAt: time + 5_000 });
    expect(origin.requests).toHaveLength(1);
  });

  it.each([401, 403, 404, 405])('is not one that answers with %i', async (status) => {
    client = clientWith({ breaker: { failures: 2 } });
    accelerator.handler = answers(status);
    for (let count = 0; count < 4; count++) await pull();
    expect(client.status().endpoints[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('may be probed by a request that is given up', async () => {
    client = clientWith({ breaker: { failures: 1, firstPause: 1_000 } });
    accelerator.handler = answers(500);
    await pull();
    time += 1_000;
    accelerator.handler = () => undefined;
    await expect(client.getManifest(repository, latest, accept, AbortSignal.timeout(30))).rejects.toThrow();
    accelerator.handler = oneManifest;
    await pull();
    expect(client.status().endpoints[0]?.breaker.state).toBe('closed');
  });
});

describe('an endpoint that asks to be left alone', () => {
  it.each([
    ['seconds', '120'],
    ['a date', ''],
  ])('is, by %s', async (_, given) => {
    time = Math.floor(time / 1000) * 1000;
    const header = given === '' ? new Date(time + 120_000).toUTCString() : given;
    origin.handler = answers(429, { 'retry-after': header });
    accelerator.handler = answers(404);
    const refused = { kind: 'throttled', retryAt: time + 120_000 };
    await expect(pull()).rejects.toMatchObject({ ...refused, status: 429, fault: { code: 'CODE_429' } });
    await expect(pull()).rejects.toMatchObject({ ...refused, status: undefined });
    expect(origin.requests).toHaveLength(1);
    expect(client.status().endpoints[1]?.breaker).toMatchObject({ state: 'throttled', until: time + 120_000 });
    time += 120_000;
    origin.handler = oneManifest;
    await pull();
  });

  it('for ever is left alone for an hour', async () => {
    origin.handler = answers(429, { 'retry-after': '99999999' });
    accelerator.handler = answers(404);
    await expect(pull()).rejects.toMatchObject({ retryAt: time + 3_600_000 });
  });
});

it('what is asked and answered is told, without queries', async () => {
  origin.handler = (_, response) => response.writeHead(302, { location: `${accelerator.url}/blob?signature=x` }).end();
  accelerator.handler = (request, response) =>
    request.url?.startsWith('/blob') ? response.end('x') : response.writeHead(404).end();
  await bytesOf((await client.openBlob(repository, manifestDigest)).body);
  const told = events.flatMap((event) => (event.type === 'answer' ? [[event.request, event.status]] : []));
  expect(told).toEqual([
    [`GET ${accelerator.url}/v2/library/app/blobs/${manifestDigest}`, 404],
    [`GET ${origin.url}/v2/library/app/blobs/${manifestDigest}`, 302],
    [`GET ${accelerator.url}/blob`, 200],
  ]);
});
