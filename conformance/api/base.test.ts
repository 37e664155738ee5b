import { describe, expect, test } from 'vitest';
import { createHttpClient } from '../harness/http-client.ts';
import { rawConnection } from '../harness/raw-connection.ts';
import { expectError, expectHeaders, expectStatus } from './expectations.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

describe('the base of the API', () => {
  test('GET /v2/ says that this is a registry [OCI end-1]', async () => {
    const reply = await registry.request('GET', '/v2/');
    expectStatus(reply, 200);
    expectHeaders(reply, { 'Content-Type': /^application\/json(;|$)/, 'Content-Length': '2' });
    expect(reply.text).toBe('{}');
  });

  test('HEAD /v2/ has the headers of GET [RFC 9110 §9.3.2]', async () => {
    const reply = await registry.request('HEAD', '/v2/');
    expectStatus(reply, 200);
    expectHeaders(reply, { 'Content-Type': /^application\/json(;|$)/, 'Content-Length': '2' });
  });

  test('GET /v2 answers or leads to /v2/ [distribution]', async () => {
    const reply = await registry.request('GET', '/v2');
    expectStatus(reply, 200, 301, 302, 307, 308);
    if (reply.status !== 200) expect(new URL(reply.header('location') ?? '', registry.url).pathname).toBe('/v2/');
  });

  test('GET / is 200, for load balancers that ask there [distribution]', async () => {
    expectStatus(await registry.request('GET', '/'), 200);
  });
});

const harmless: readonly { name: string; target?: string; headers: Record<string, string> }[] = [
  { name: 'a query that means nothing', target: '/v2/?service=x&n=-1', headers: {} },
  { name: 'the version header that skopeo sends', headers: { 'Docker-Distribution-API-Version': 'registry/2.0' } },
  { name: 'meta headers of docker', headers: { 'X-Meta-Any': 'thing' } },
  {
    name: 'tracing headers',
    headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', baggage: 'a=1' },
  },
  { name: 'header names in capitals', headers: { ACCEPT: '*/*', 'USER-AGENT': 'TEST' } },
  {
    name: 'an encoding offered as containerd does',
    headers: { 'Accept-Encoding': 'zstd;q=1.0, gzip;q=0.8, deflate;q=0.5' },
  },
  { name: 'an origin, as browsers send it', headers: { Origin: 'https://ui.example' } },
  { name: 'a token of 24 KiB', headers: { 'X-Meta-Token': 'a'.repeat(24 << 10) } },
];

describe('a request is answered as without', () => {
  for (const { name, target = '/v2/', headers } of harmless) {
    test(`${name} [client]`, async () => {
      const reply = await registry.request('GET', target, { headers });
      expectStatus(reply, 200);
      expect(reply.text).toBe('{}');
    });
  }
});

describe('methods', () => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
    test(`${method} /v2/ is not allowed [RFC 9110 §15.5.6]`, async () => {
      const reply = await registry.request(method, '/v2/');
      expectError(reply, 405, 'UNSUPPORTED');
      expectHeaders(reply, { Allow: /GET/ });
    });
  }

  for (const target of ['/v2/', '/v2/any/tags/list', '/v2/any/manifests/latest']) {
    test(`OPTIONS ${target} names the methods or is not supported [RFC 9110 §9.3.7]`, async () => {
      const reply = await registry.request('OPTIONS', target);
      expectStatus(reply, 200, 204, 405);
      expectHeaders(reply, { Allow: /GET/ });
    });
  }
});

const absent = [
  '/v1/',
  '/v3/',
  '/v2/any',
  '/v2/any/',
  '/v2/any/tags',
  '/v2/any/tags/',
  '/v2/any/tags/nolist',
  '/v2/any/_trust/tuf/root.json',
  '/v2/_trust/x',
  '/extensions/v2/any/signatures/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
];

describe('what a registry does not have is 404', () => {
  for (const target of absent) {
    test(`${target} [OCI "Endpoints"]`, async () => expectStatus(await registry.request('GET', target), 404));
  }

  for (const target of ['/v2/_oci/ext/discover', '/v2/any/_oci/ext/discover']) {
    test(`${target}, if the extension is not there [OCI "Extensions"]`, async () => {
      const reply = await registry.request('GET', target);
      expectStatus(reply, 200, 404);
      if (reply.status === 200) expect(reply.json()).toMatchObject({ extensions: expect.any(Array) });
    });
  }
});

describe('the protocol below', () => {
  test('a connection may be idle for as long as Go clients keep it (90 s) [client]', async () => {
    const reply = await registry.request('GET', '/v2/', { headers: { Connection: 'keep-alive' } });
    // Absent: not announced. Announced for less, a POST on a reused connection fails now and then.
    const [, announced] = /timeout=(\d+)/.exec(reply.header('keep-alive') ?? '') ?? [];
    expect(Number(announced ?? 90)).toBeGreaterThanOrEqual(90);
  });

  test('one connection carries many requests [RFC 9112 §9.3]', async () => {
    const client = createHttpClient(registry.url, { maxConnections: 1 });
    for (const target of ['/v2/', '/v2/any/tags/list', '/v2/any/manifests/x', '/v2/']) {
      expect((await client.request('GET', target)).header('connection')).not.toBe('close');
    }
    client.close();
  });

  test('HTTP/1.0 is answered and closed, as nginx asks by default [RFC 9112 §9.3]', async () => {
    const connection = await rawConnection(registry.host);
    connection.write(`GET /v2/ HTTP/1.0\r\nHost: ${registry.host}\r\n\r\n`);
    const response = await connection.response();
    expect(response.status).toBe(200);
    expect(response.headers.get('transfer-encoding')).toBeUndefined();
    expect(response.body.toString()).toBe('{}');
    await connection.closed;
  });

  test('a target in absolute form is understood [RFC 9112 §3.2.2]', async () => {
    const connection = await rawConnection(registry.host);
    connection.write(`GET http://${registry.host}/v2/ HTTP/1.1\r\nHost: ${registry.host}\r\n\r\n`);
    expect(await connection.response()).toMatchObject({ status: 200 });
    connection.destroy();
  });

  test('HTTP/1.1 without Host is 400 [RFC 9112 §3.2]', async () => {
    const connection = await rawConnection(registry.host);
    connection.write('GET /v2/ HTTP/1.1\r\n\r\n');
    expect(await connection.response()).toMatchObject({ status: 400 });
    connection.destroy();
  });
});

checkEveryResponse();
