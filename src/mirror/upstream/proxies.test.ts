import { randomBytes } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AddressGuard } from './address.ts';
import { HttpConnections } from './http.ts';
import { proxiesIn } from './proxies.ts';
import { type ConnectProxy, startConnectProxy } from './testing/connect-proxy.ts';
import { type LyingUpstream, startLyingUpstream } from './testing/lying-upstream.ts';

let proxy: ConnectProxy;
let upstream: LyingUpstream;

beforeAll(async () => {
  upstream = await startLyingUpstream((_, response) => response.end('hello'));
  proxy = await startConnectProxy(upstream.port);
});
beforeEach(() => {
  proxy.tunnels.length = 0;
});
afterAll(() => Promise.all([proxy.close(), upstream.close()]));

function connectionsTo(host: string, environment: Record<string, string>, limit = 5_000): HttpConnections {
  return new HttpConnections({
    host,
    ca: undefined,
    timeouts: { connect: limit, head: limit, idle: 5_000 },
    guard: new AddressGuard(host),
    proxies: proxiesIn(environment),
  });
}

async function get(url: string, environment: Record<string, string>, limit?: number): Promise<string> {
  const connections = connectionsTo(new URL(url).hostname, environment, limit);
  try {
    const { body } = await connections.send({ url: new URL(url), method: 'GET', headers: {} });
    return (await body.bytes(100, 5_000)).toString();
  } finally {
    await connections.close();
  }
}

describe('an upstream', () => {
  test.each(['HTTP_PROXY', 'http_proxy'])('is reached through %s', async (name) => {
    expect(await get('http://registry.invalid/v2/', { [name]: proxy.host })).toBe('hello');
    expect(proxy.tunnels).toEqual(['registry.invalid:80']);
  });

  test.each(['.invalid', 'registry.invalid', '*'])('is reached without when NO_PROXY is %s', async (except) => {
    const environment = { HTTP_PROXY: `http://${proxy.host}`, NO_PROXY: except };
    await expect(get('http://registry.invalid/v2/', environment)).rejects.toThrow('registry.invalid');
    expect(proxy.tunnels).toEqual([]);
  });

  test('sends right bytes through a proxy, however slow they are read', async () => {
    const content = randomBytes(3_000_000);
    upstream.handler = (_, response) => response.end(content);
    const connections = connectionsTo('registry.invalid', { HTTP_PROXY: proxy.host });
    const url = new URL('http://registry.invalid/blob');
    const { body } = await connections.send({ url, method: 'GET', headers: {} });
    const chunks: Buffer[] = [];
    for await (const chunk of body) {
      const before = Buffer.from(chunk);
      await delay(10);
      expect(chunk.equals(before)).toBe(true);
      chunks.push(before);
    }
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    await connections.close();
    upstream.handler = (_, response) => response.end('hello');
  });

  test('on this machine is reached without', async () => {
    const environment = { HTTP_PROXY: `http://${proxy.host}` };
    expect(await get(`${upstream.url}/v2/`, environment)).toBe('hello');
    expect(proxy.tunnels).toEqual([]);
  });

  test('is not waited for for ever when the proxy ends what it has just connected', async () => {
    const portal = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello'));
    });
    await new Promise<void>((resolve) => portal.listen(0, '127.0.0.1', resolve));
    const { port } = portal.address() as AddressInfo;
    try {
      const answer = get('http://registry.example/v2/', { HTTP_PROXY: `http://127.0.0.1:${port}` }, 300);
      await expect(answer).rejects.toThrow('did not answer within 600 ms');
    } finally {
      portal.close();
    }
  });

  test('is not waited for longer than for a connection when the proxy says nothing', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => silent.once('listening', resolve));
      const { port } = silent.address() as AddressInfo;
      const environment = { HTTP_PROXY: `127.0.0.1:${port}` };
      await expect(get('http://registry.invalid/v2/', environment, 1_000)).rejects.toThrow(
        /Headers Timeout|did not answer/,
      );
    } finally {
      silent.close();
    }
  });
});
