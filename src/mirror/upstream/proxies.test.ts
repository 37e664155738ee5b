import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AddressGuard } from './address.ts';
import { HttpConnections } from './http.ts';
import { proxiesIn } from './proxies.ts';

/* A proxy on this machine, which takes every host for the upstream behind it. */

let proxy: Server;
let upstream: Server;
const tunnels: string[] = [];
const portOf = (server: Server) => (server.address() as AddressInfo).port;

beforeAll(async () => {
  upstream = createServer((_, response) => response.end('hello'));
  proxy = createServer();
  proxy.on('connect', (request, socket, head) => {
    tunnels.push(request.url ?? '');
    const onward = connect(portOf(upstream), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    for (const each of [socket, onward]) each.on('error', () => undefined);
  });
  for (const server of [proxy, upstream]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  }
});
beforeEach(() => {
  tunnels.length = 0;
});
afterAll(() => {
  for (const server of [proxy, upstream]) {
    server.closeAllConnections();
    server.close();
  }
});

async function get(url: string, environment: Record<string, string>): Promise<string> {
  const { hostname } = new URL(url);
  const connections = new HttpConnections({
    host: hostname,
    ca: undefined,
    timeouts: { connect: 5_000, header: 5_000, idle: 5_000 },
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
    expect(await get('http://registry.invalid/v2/', { [name]: `127.0.0.1:${portOf(proxy)}` })).toBe('hello');
    expect(tunnels).toEqual(['registry.invalid:80']);
  });

  test.each(['.invalid', 'registry.invalid', '*'])('is reached without when NO_PROXY is %s', async (except) => {
    const environment = { HTTP_PROXY: `http://127.0.0.1:${portOf(proxy)}`, NO_PROXY: except };
    await expect(get('http://registry.invalid/v2/', environment)).rejects.toThrow('registry.invalid');
    expect(tunnels).toEqual([]);
  });

  test('on this machine is reached without', async () => {
    const environment = { HTTP_PROXY: `http://127.0.0.1:${portOf(proxy)}` };
    expect(await get(`http://127.0.0.1:${portOf(upstream)}/v2/`, environment)).toBe('hello');
    expect(tunnels).toEqual([]);
  });
});
