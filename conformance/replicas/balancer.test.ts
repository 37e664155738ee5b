import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHttpClient, type HttpClient } from '../harness/http-client.ts';
import { type Balancer, startBalancer } from './balancer.ts';

const servers: Server[] = [];
let balancer: Balancer;
let client: HttpClient;

beforeAll(async () => {
  for (const name of ['a', 'b']) {
    const server = createServer((request, response) => {
      request.resume().once('end', () => response.end(`${name} ${request.headers.host} ${request.method}`));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
  }
  balancer = await startBalancer(servers.map((server) => `127.0.0.1:${(server.address() as AddressInfo).port}`));
  client = createHttpClient(balancer.url, { maxConnections: 1 });
});

afterAll(async () => {
  client?.close();
  await balancer?.stop();
  for (const server of servers) server.close();
});

describe('the balancer', () => {
  test('gives the requests of one connection to the replicas in turn', async () => {
    const names: string[] = [];
    for (const method of ['GET', 'POST', 'PATCH', 'PUT', 'GET', 'DELETE', 'GET', 'GET']) {
      const { text } = await client.request(method, '/', { body: 'some' });
      names.push(text.slice(0, 1));
    }
    expect(names.join('')).toMatch(/^(ab){4}$|^(ba){4}$/);
  });

  test('passes the host that the client asked', async () => {
    expect((await client.request('GET', '/')).text).toContain(new URL(balancer.url).host);
  });

  test('asks the other one where one cannot be reached', async () => {
    const gone = servers.pop();
    gone?.closeAllConnections();
    await new Promise((resolve) => gone?.close(resolve));
    for (const method of ['GET', 'POST', 'PATCH', 'PUT']) {
      expect((await client.request(method, '/', { body: 'some' })).text).toMatch(/^a /);
    }
  });
});
