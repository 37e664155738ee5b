import { request } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { deferred } from './listen/testing/deferred.ts';
import { connectRaw } from './listen/testing/raw-client.ts';
import { serve } from './listen/testing/serve.ts';

const app = new Hono<{ Bindings: HttpBindings }>()
  .get('/v2/', (c) => c.json({}))
  .get('/direct', (c) => {
    c.env.outgoing.writeHead(200, { 'Content-Length': 6 }).end('direct');
    return RESPONSE_ALREADY_SENT;
  });
/** Parses the one answer in `text`. */
function parse(text: string) {
  const [head = '', body = ''] = text.split('\r\n\r\n');
  const [status, ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => line.toLowerCase().split(/: (.*)/)));
  return { status: Number(status?.split(' ')[1]), headers, body };
}

async function exchange(target: { host: string; port: number }, bytes: string) {
  const client = await connectRaw(target);
  await client.send(bytes);
  const text = await client.ended();
  client.socket.destroy();
  return parse(text);
}

describe('an application', () => {
  test('is served over HTTP/1.1, on one connection', async () => {
    const { target } = await serve(app);
    const client = await connectRaw(target);
    await client.send('GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n');
    await client.until('{}');
    await client.send('GET /direct HTTP/1.1\r\nHost: r\r\n\r\n');
    expect(await client.until('direct')).not.toContain('Connection: close');
    client.socket.destroy();
  });

  test('is served to HTTP/1.0 clients that name no host, as health checks do', async () => {
    const { target } = await serve(app);
    expect(await exchange(target, 'GET /v2/ HTTP/1.0\r\n\r\n')).toMatchObject({ status: 200, body: '{}' });
  });

  test('takes headers of 60 KiB, as long tokens need', async () => {
    const { url } = await serve(app);
    const response = await fetch(`${url}/v2/`, { headers: { Authorization: `Bearer ${'x'.repeat(60_000)}` } });
    expect(response.status).toBe(200);
  });

  test('hides the server behind an answer 500 when it throws', async () => {
    const { target, log } = await serve({ fetch: () => Promise.reject(new Error('secret of the server')) });
    const answer = await exchange(target, 'GET /v2/ HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n');
    expect(answer.status).toBe(500);
    expect(answer.body).not.toContain('secret');
    expect(JSON.parse(answer.body).errors[0].code).toBe('UNKNOWN');
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'error', message: 'the application failed' }));
  });
});

describe('a malformed request is answered in the words of the protocol', () => {
  test.each([
    ['no HTTP at all', 'HELO registry\r\n\r\n', 400],
    ['a bad header', 'GET /v2/ HTTP/1.1\r\nHost : r\r\n\r\n', 400],
    ['two lengths', 'POST /v2/ HTTP/1.1\r\nHost: r\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n', 400],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: r\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['no host', 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['a host that is none', 'GET /v2/ HTTP/1.1\r\nHost: a b@c\r\nConnection: close\r\n\r\n', 400],
    ['an unknown expectation', 'GET /v2/ HTTP/1.1\r\nHost: r\r\nExpect: cake\r\nConnection: close\r\n\r\n', 417],
    ['a header that is too long', `GET /v2/ HTTP/1.1\r\nHost: r\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`, 431],
  ])('%s', async (_, bytes, status) => {
    const { target } = await serve(app);
    const answer = await exchange(target, bytes);
    expect(answer.status).toBe(status);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': String(answer.body.length),
      'docker-distribution-api-version': 'registry/2.0',
      connection: 'close',
    });
    expect(JSON.parse(answer.body)).toEqual({
      errors: [{ code: 'UNSUPPORTED', message: expect.any(String), detail: null }],
    });
  });

  test('a broken chunk, after which the handler is told that the client is gone', async () => {
    const reading = deferred<unknown>();
    const { target } = await serve(
      new Hono<{ Bindings: HttpBindings }>().post('/', async (c) => {
        c.env.incoming.on('error', reading.resolve).resume();
        await reading.promise;
        return c.text('');
      }),
    );
    const answer = await exchange(target, 'POST / HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n');
    expect(answer.status).toBe(400);
    expect(await reading.promise).toMatchObject({ code: 'ECONNRESET' });
  });

  test('and the server goes on', async () => {
    const { target, url } = await serve(app);
    await exchange(target, '\0\0\0\0\r\n\r\n');
    expect((await fetch(`${url}/v2/`)).status).toBe(200);
  });
});

describe('a connection', () => {
  test('whose header does not come to an end is answered 408 and closed', async () => {
    const { target } = await serve(app, { timeouts: { header: 100 } });
    const client = await connectRaw(target);
    await client.send('GET /v2/ HTTP/1.1\r\nHost: r\r\n');
    const drip = setInterval(() => client.socket.write('X-A: b\r\n'), 20);
    expect(parse(await client.ended())).toMatchObject({ status: 408, headers: { connection: 'close' } });
    clearInterval(drip);
    client.socket.destroy();
  });

  test('on which nothing is ever said is closed', async () => {
    const { target } = await serve(app, { timeouts: { header: 100 } });
    const client = await connectRaw(target);
    expect(parse(await client.ended()).status).toBe(408);
    client.socket.destroy();
  });

  test('is kept between requests for the time configured, and announces it', async () => {
    const { url, port } = await serve(app, { timeouts: { keepalive: 5000 } });
    const response = await fetch(`${url}/v2/`);
    expect(response.headers.get('keep-alive')).toBe('timeout=5');
    expect(port).toBeGreaterThan(0);
  });
});

test('a request with an absolute target is served', async () => {
  const { port } = await serve(app);
  const status = await new Promise((resolve, reject) => {
    request({ port, host: '127.0.0.1', path: `http://registry.example:${port}/v2/` }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(200);
});
