import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent } from 'undici';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { NoConnectionError } from './connections.ts';
import { dispatch } from './dispatch.ts';

const content = randomBytes(2_000_000);

let agent: Agent;
let server: Server;
let answer: RequestListener;
let asked: string[];

beforeEach(async () => {
  agent = new Agent({ connections: 1, pipelining: 1 });
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  await agent.destroy();
  server.closeAllConnections();
  server.close();
});

function send(path: string, signal?: AbortSignal) {
  const { port } = server.address() as AddressInfo;
  return dispatch(agent, { origin: `http://127.0.0.1:${port}`, method: 'PUT', path, body: content }, signal);
}

test('bytes are right, there and back', async () => {
  answer = (request, response) => {
    response.writeHead(201, { ETag: '"e"', 'Content-Length': content.length });
    request.pipe(response);
  };
  const { status, headers, body } = await send('/');
  expect([status, headers.etag]).toEqual([201, '"e"']);
  expect((await body.bytes()).equals(content)).toBe(true);
});

test('who gives up while he waits for a connection is told so, later he gets his own reason', async () => {
  answer = (request, response) => {
    request.resume();
    if (request.url === '/2') response.writeHead(200).write('some');
  };
  const reason = new Error('enough');
  const [first, waiting] = [new AbortController(), new AbortController()];
  const [answered, waited] = [send('/1', first.signal), send('/never', waiting.signal)];
  await vi.waitFor(() => expect(asked).toEqual(['/1']));
  waiting.abort(reason);
  await expect(waited).rejects.toThrow(NoConnectionError);
  first.abort(reason);
  await expect(answered).rejects.toBe(reason);
  const reading = new AbortController();
  const { body } = await send('/2', reading.signal);
  reading.abort(reason);
  await expect(body.bytes()).rejects.toBe(reason);
  expect(asked).toEqual(['/1', '/2']);
});

test('a server that breaks off is heard of, before its answer and within', async () => {
  answer = (request, response) => {
    request.resume();
    if (request.url === '/1') return void response.destroy();
    response.writeHead(200, { 'Content-Length': 100 }).write('some', () => response.destroy());
  };
  await expect(send('/1')).rejects.toMatchObject({ code: expect.any(String) });
  const { body } = await send('/2');
  await expect(body.bytes()).rejects.toMatchObject({ code: expect.any(String) });
});
