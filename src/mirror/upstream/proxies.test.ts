import { type AddressInfo, createServer } from 'node:net';
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

async function get(url: string, environment: Record<string, string>, connect = 5_000): Promise<string> {
  const { hostname } = new URL(url);
  const connections = new HttpConnections({
    host: hostname,
    ca: undefined,
    timeouts: { connect, header: 5_000, idle: 5_000 },
    guard: new AddressGuard(hostname),
    proxies: proxiesIn(environment),
  });
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

  test('on this machine is reached without', async () => {
    const environment = { HTTP_PROXY: `http://${proxy.host}` };
    expect(await get(`${upstream.url}/v2/`, environment)).toBe('hello');
    expect(proxy.tunnels).toEqual([]);
  });

  test('is not waited for longer than for a connection when the proxy says nothing', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    try {
      await new Promise((resolve) => silent.once('listening', resolve));
      const { port } = silent.address() as AddressInfo;
      const environment = { HTTP_PROXY: `127.0.0.1:${port}` };
      await expect(get('http://registry.invalid/v2/', environment, 1_000)).rejects.toThrow('Headers Timeout');
    } finally {
      silent.close();
    }
  });
});
