import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { blob, digestOf, index, mediaTypes, unknownDigest } from '../harness/content.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { rawConnection } from '../harness/raw-connection.ts';
import { expectHeaders, expectStatus } from './expectations.ts';
import { pushBlob, pushImage, startUpload, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();
const content = await pushBlob(registry, repository, blob(randomBytes(1 << 20)));
await pushImage(registry, repository, 'latest');

/** The head of a request, to be written as it stands. */
const head = (line: string, ...fields: string[]) =>
  `${[`${line} HTTP/1.1`, `Host: ${registry.host}`, ...fields].join('\r\n')}\r\n\r\n`;

describe('HEAD sends no byte of a body, so the next response is where it must be [RFC 9112 §6.3]', () => {
  const targets = [
    '/v2/',
    `/v2/${repository}/blobs/${content.digest}`,
    `/v2/${repository}/blobs/${unknownDigest()}`,
    `/v2/${repository}/manifests/latest`,
    `/v2/${repository}/manifests/missing`,
    `/v2/${repository}/manifests/sha256:nonsense`,
    `/v2/${repository}/tags/list`,
    `/v2/${repository}/referrers/${unknownDigest()}`,
    '/v2/_catalog',
    '/v2/no-such-route',
  ];
  for (const target of targets) {
    test(target.replace(repository, '…').replace(/[0-9a-f]{64}/, '<hex>'), async () => {
      const connection = await rawConnection(registry.host);
      connection.write(head(`HEAD ${target}`) + head('GET /v2/', 'Connection: close'));
      const first = await connection.response('HEAD');
      expect(first.headers.get('content-length')).toMatch(/^\d+$/);
      const second = await connection.response();
      expect(second.status).toBe(200);
      expect(second.body.toString()).toBe('{}');
      expect(connection.rest()).toHaveLength(0);
      await connection.closed;
    });
  }
});

describe('Expect: 100-continue, as curl sends it with large bodies [RFC 9110 §10.1.1]', () => {
  test('a body that is wanted is asked for', async () => {
    const { bytes, digest } = blob(randomBytes(2000));
    const target = withQuery(await startUpload(registry, repository), `digest=${digest}`);
    const connection = await rawConnection(registry.host);
    connection.write(head(`PUT ${target}`, 'Expect: 100-continue', `Content-Length: ${bytes.length}`));
    expect(await connection.response()).toMatchObject({ status: 100 });
    connection.write(bytes);
    expect(await connection.response()).toMatchObject({ status: 201 });
    connection.destroy();
  });

  test('a manifest too', async () => {
    const { bytes, mediaType } = index([]);
    const connection = await rawConnection(registry.host);
    const fields = [`Content-Type: ${mediaType}`, 'Expect: 100-continue', `Content-Length: ${bytes.length}`];
    connection.write(head(`PUT /v2/${repository}/manifests/expected`, ...fields));
    expect(await connection.response()).toMatchObject({ status: 100 });
    connection.write(bytes);
    expect(await connection.response()).toMatchObject({ status: 201 });
    connection.destroy();
  });

  test('a client that does not wait is served all the same', async () => {
    const connection = await rawConnection(registry.host);
    connection.write(
      head(`PATCH ${await startUpload(registry, repository)}`, 'Expect: 100-continue', 'Content-Length: 3'),
    );
    connection.write('abc');
    let response = await connection.response();
    if (response.status === 100) response = await connection.response();
    expect(response.status).toBe(202);
    connection.destroy();
  });
});

const refusals: readonly [name: string, method: string, target: string, status: number][] = [
  [
    'PATCH of a session that is not there',
    'PATCH',
    `/v2/${repository}/blobs/uploads/7d1f7f0a-3c1b-4a2c-9d0e-0123456789ab`,
    404,
  ],
  [
    'PUT of a session that is not there',
    'PUT',
    `/v2/${repository}/blobs/uploads/7d1f7f0a-3c1b-4a2c-9d0e-0123456789ab?digest=${unknownDigest()}`,
    404,
  ],
  ['PUT of a manifest in a name that is none', 'PUT', '/v2/NO/manifests/latest', 400],
  ['PUT of a route that is not there', 'PUT', '/v2/no-such-route', 404],
  ['POST with a digest that is none', 'POST', `/v2/${repository}/blobs/uploads/?digest=nonsense`, 400],
  ['PUT of tags', 'PUT', `/v2/${repository}/tags/list`, 405],
]; // prettier-ignore

describe('a body that is not wanted does not hurt the answer or the next request [client]', () => {
  for (const [name, method, target, status] of refusals) {
    for (const size of [100, 300_000, 8 << 20]) {
      test(`${name}, ${size} bytes`, async () => {
        const client = createHttpClient(registry.url, { maxConnections: 1 });
        const headers = { 'Content-Type': mediaTypes.index };
        expectStatus(await client.request(method, target, { headers, body: Buffer.alloc(size, 'x') }), status);
        expectStatus(await client.request('GET', '/v2/'), 200);
        expectStatus(await client.request('POST', `/v2/${repository}/blobs/uploads/`), 202);
        client.close();
      });
    }
  }

  test('chunked, too', async () => {
    const client = createHttpClient(registry.url, { maxConnections: 1 });
    const [[, method, target, status] = ['', '', '', 0]] = refusals;
    expectStatus(await client.request(method, target, { body: [Buffer.alloc(100), Buffer.alloc(70_000)] }), status);
    expectStatus(await client.request('GET', '/v2/'), 200);
    client.close();
  });

  test('GET with a body is answered as without', async () => {
    const client = createHttpClient(registry.url, { maxConnections: 1 });
    for (let i = 0; i < 3; i++) {
      const reply = await client.request('GET', `/v2/${repository}/tags/list`, { body: 'x'.repeat(1000) });
      expectStatus(reply, 200);
    }
    client.close();
  });
});

/** As a client on a thin line sends: in pieces, `rest` milliseconds apart. */
async function* slowly(bytes: Buffer, pieces: number, rest = 150): AsyncIterable<Buffer> {
  const size = Math.ceil(bytes.length / pieces);
  for (let start = 0; start < bytes.length; start += size) {
    yield bytes.subarray(start, start + size);
    await pause(rest);
  }
}

describe('slow and interrupted clients', () => {
  test('a blob that comes with pauses is taken', async () => {
    const { bytes, digest } = blob(randomBytes(100_000));
    const target = withQuery(await startUpload(registry, repository), `digest=${digest}`);
    expectStatus(await registry.request('PUT', target, { body: slowly(bytes, 8) }), 201);
  });

  test('a manifest that comes with pauses is taken', async () => {
    const { bytes, mediaType } = index([], { annotations: { slow: 'yes' } });
    const headers = { 'Content-Type': mediaType };
    const body = slowly(bytes, 4);
    expectStatus(await registry.request('PUT', `/v2/${repository}/manifests/slow`, { headers, body }), 201);
  });

  test('a head that comes in pieces is read', async () => {
    const connection = await rawConnection(registry.host);
    for (const piece of ['GET /v2/ HT', 'TP/1.1\r\nHo', `st: ${registry.host}\r\n`, '\r\n']) {
      connection.write(piece);
      await pause(50);
    }
    expect(await connection.response()).toMatchObject({ status: 200 });
    connection.destroy();
  });

  test('a reader that pauses gets everything', async () => {
    const [hostname = '', port] = registry.host.split(':');
    const socket = connect(Number(port), hostname);
    socket.write(head(`GET /v2/${repository}/blobs/${content.digest}`, 'Connection: close'));
    const chunks: Buffer[] = [];
    for await (const chunk of socket) {
      chunks.push(chunk);
      if (chunks.length % 4 === 0) await pause(20);
    }
    expect(Buffer.concat(chunks).subarray(-content.bytes.length).equals(content.bytes)).toBe(true);
  });

  /** Sends half of a body and goes away, and waits until the server has seen that. */
  async function breakOff(method: string, target: string, length: number, bytes: Uint8Array): Promise<void> {
    const [hostname = '', port] = registry.host.split(':');
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    socket.write(head(`${method} ${target}`, `Content-Length: ${length}`));
    await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
    socket.destroy();
    await once(socket, 'close');
  }

  /** Resolves when the session is no longer being written. */
  async function settled(location: string): Promise<number> {
    for (let last = -1; ; ) {
      const reply = await registry.request('GET', location);
      expectStatus(reply, 204);
      const stored = Number(reply.header('range')?.split('-')[1]);
      if (stored === last) return stored === 0 ? 0 : stored + 1;
      last = stored;
      await pause(100);
    }
  }

  test('a PATCH that breaks off is never counted as whole, and the session goes on', async () => {
    const { bytes, digest } = blob(randomBytes(50_000));
    const location = await startUpload(registry, repository);
    await breakOff('PATCH', location, bytes.length, bytes.subarray(0, 20_000));
    const stored = await settled(location);
    expect(stored).toBeLessThanOrEqual(20_000);
    const headers = { 'Content-Range': `${stored}-${bytes.length - 1}` };
    const target = withQuery(location, `digest=${digest}`);
    expectStatus(await registry.request('PUT', target, { headers, body: bytes.subarray(stored) }), 201);
  });

  test('a PUT that breaks off makes no blob', async () => {
    const { bytes, digest } = blob(randomBytes(50_000));
    const location = await startUpload(registry, repository);
    await breakOff('PUT', withQuery(location, `digest=${digest}`), bytes.length, bytes.subarray(0, 20_000));
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${digest}`), 404);
    expectStatus(await registry.request('GET', '/v2/'), 200);
  });

  test('a PUT that breaks off makes no blob of what came, either', async () => {
    const half = blob(randomBytes(20_000));
    const location = await startUpload(registry, repository);
    await breakOff('PUT', withQuery(location, `digest=${half.digest}`), 50_000, half.bytes);
    await pause(300);
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${half.digest}`), 404);
  });

  test('a manifest that breaks off is none', async () => {
    const { bytes } = index([], { annotations: { half: 'yes' } });
    await breakOff('PUT', `/v2/${repository}/manifests/half`, bytes.length + 10, bytes);
    await pause(300);
    expectStatus(await registry.request('HEAD', `/v2/${repository}/manifests/half`), 404);
  });

  test('a download that breaks off hurts nobody', async () => {
    for (let i = 0; i < 20; i++) {
      const connection = await rawConnection(registry.host);
      connection.write(head(`GET /v2/${repository}/blobs/${content.digest}`));
      await pause(5);
      connection.destroy();
    }
    const reply = await registry.request('GET', `/v2/${repository}/blobs/${content.digest}`);
    expect(reply.body.equals(content.bytes)).toBe(true);
  });
});

describe('two requests on one session [OCI end-5]', () => {
  test('do not mix their bytes', async () => {
    // The same bytes twice: whichever comes first, what is stored is known, unless they were mixed.
    const bytes = randomBytes(60_000);
    const location = await startUpload(registry, repository);
    const replies = await Promise.all(
      [1, 2].map(() => registry.request('PATCH', location, { body: slowly(bytes, 6, 30) })),
    );
    for (const reply of replies) expectStatus(reply, 202, 400, 409, 416);
    const taken = replies.filter(({ status }) => status === 202).map(() => bytes);
    expect(taken.length).toBeGreaterThan(0);
    const stored = Buffer.concat(taken);
    expectHeaders(await registry.request('GET', location), { Range: `0-${stored.length - 1}` });
    expectStatus(await registry.request('PUT', withQuery(location, `digest=${digestOf(stored)}`)), 201);
  });
});

describe('requests behind one another on one connection [RFC 9112 §9.3.2]', () => {
  test('are answered in order', async () => {
    const connection = await rawConnection(registry.host);
    const targets = [
      `/v2/${repository}/blobs/${content.digest}`,
      '/v2/',
      `/v2/${repository}/manifests/missing`,
      '/v2/',
    ];
    connection.write(targets.map((target) => head(`GET ${target}`)).join(''));
    const responses = [];
    for (const _ of targets) responses.push(await connection.response());
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 404, 200]);
    expect(responses[0]?.body.equals(content.bytes)).toBe(true);
    connection.destroy();
  });

  test('no part of one is taken for another: after a length and chunks together it ends [RFC 9112 §6.1]', async () => {
    const connection = await rawConnection(registry.host);
    const smuggled = head(`GET /v2/${repository}/tags/list`);
    connection.write(`${head('POST /v2/', 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`);
    await connection.response();
    await connection.closed;
    expect(connection.rest().toString()).not.toContain('"tags"');
  });
});

checkEveryResponse();
