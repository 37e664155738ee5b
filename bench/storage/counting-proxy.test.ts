import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CountingProxy, kindOf, startCountingProxy } from './counting-proxy.ts';

describe('the kind of an S3 request', () => {
  it.each([
    ['GET', '/bucket/a/key', {}, 'GET'],
    ['HEAD', '/bucket/a/key', {}, 'HEAD'],
    ['GET', '/bucket?list-type=2&prefix=a%2F', {}, 'LIST'],
    ['GET', '/bucket/?uploads', {}, 'LIST'],
    ['GET', '/bucket/a/key?uploadId=1', {}, 'LIST'],
    ['PUT', '/bucket/a/key?partNumber=1&uploadId=1', {}, 'PUT'],
    ['PUT', '/bucket/a/key', { 'x-amz-copy-source': 'bucket/b' }, 'COPY'],
    ['POST', '/bucket/a/key?uploads', {}, 'POST'],
    ['POST', '/bucket?delete', {}, 'DELETE'],
    ['DELETE', '/bucket/a/key', {}, 'DELETE'],
  ])('of %s %s %o is %s', (method, url, headers, kind) => {
    expect(kindOf(method, url, headers)).toBe(kind);
  });
});

describe('the counting proxy', () => {
  const limit = AbortSignal.timeout(20_000);
  let server: Server;
  let proxy: CountingProxy;
  let answer: (asked: IncomingMessage) => Promise<{ status: number; body: string | Buffer }>;

  beforeEach(async () => {
    server = createServer(async (asked, response) => {
      const { status, body } = await answer(asked);
      response.writeHead(status, { 'X-Of': 'the storage', 'Content-Length': Buffer.byteLength(body) }).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    proxy = await startCountingProxy(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
  });
  afterEach(async () => {
    await proxy.close();
    server.closeAllConnections();
    server.close();
  });

  it('passes on request and answer as they are, the name of the host included', async () => {
    const content = Buffer.alloc(3 << 20, 'x');
    answer = async (asked) => {
      const sent = await buffer(asked);
      const { host, authorization } = asked.headers;
      return { status: 418, body: `${asked.method} ${asked.url} ${host} ${authorization} ${sent.equals(content)}` };
    };
    const found = await fetch(`${proxy.url}/bucket/a%2Bkey?x=1`, {
      method: 'PUT',
      headers: { authorization: 'AWS4 signature' },
      body: content,
    });
    expect(found.status).toBe(418);
    expect(found.headers.get('x-of')).toBe('the storage');
    expect(await found.text()).toBe(`PUT /bucket/a%2Bkey?x=1 ${new URL(proxy.url).host} AWS4 signature true`);
  });

  it('lets a client wait for leave to send its body, as the SDKs do', async () => {
    answer = async (asked) => ({ status: 200, body: await buffer(asked) });
    const echoed = await new Promise<Buffer>((resolve, reject) => {
      const asking = request(`${proxy.url}/bucket/key`, { method: 'PUT', headers: { expect: '100-continue' } });
      asking.once('continue', () => asking.end('the body'));
      asking.once('response', (response) => resolve(buffer(response))).once('error', reject);
      asking.flushHeaders();
    });
    expect(echoed.toString()).toBe('the body');
  });

  it('counts by kind, anew after a reset, and what is still under way too', async () => {
    let letGo: (() => void) | undefined;
    answer = async () => ({ status: 200, body: '' });
    await (await fetch(`${proxy.url}/bucket/before`)).text();
    proxy.reset();
    for (const path of ['/bucket/a', '/bucket/b', '/bucket?list-type=2']) await (await fetch(proxy.url + path)).text();
    const arrived = new Promise<void>((resolve) => {
      answer = async () => {
        resolve();
        await new Promise<void>((free) => {
          letGo = free;
        });
        return { status: 200, body: '' };
      };
    });
    const late = fetch(`${proxy.url}/bucket/c`, { method: 'DELETE' });
    await arrived;
    const counted = proxy.read(limit);
    letGo?.();
    expect(await counted).toEqual({ GET: 2, LIST: 1, DELETE: 1 });
    await (await late).text();
  });

  it('breaks the connection when the storage does', async () => {
    answer = async (asked) => {
      asked.socket.destroy();
      return { status: 200, body: '' };
    };
    await expect(fetch(`${proxy.url}/bucket/key`)).rejects.toThrow();
    expect(await proxy.read(limit)).toEqual({ GET: 1 });
  });
});
