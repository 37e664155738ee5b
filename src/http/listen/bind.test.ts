import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectRaw } from './testing/raw-client.ts';
import { serve } from './testing/serve.ts';

const app = new Hono().get('/v2/', (c) => c.json({}));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-bind-'));
});
afterAll(() => rm(folder, { recursive: true }));

const getRoot = 'GET /v2/ HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n';

test('a TCP port that is taken is named in the error', async () => {
  const { address } = await serve(app);
  await expect(serve(app, { addr: address })).rejects.toMatchObject({
    code: 'ADDRESS_IN_USE',
    message: expect.stringContaining(address),
  });
});

test('an address of another machine is refused as such', async () => {
  await expect(serve(app, { addr: '192.0.2.1:0' })).rejects.toMatchObject({ code: 'ADDRESS_UNAVAILABLE' });
});

test(':port listens on all interfaces, IPv6 and IPv4', async () => {
  const { port } = await serve(app, { addr: ':0' });
  for (const host of ['127.0.0.1', '::1']) {
    const client = await connectRaw({ host, port });
    await client.send(getRoot);
    expect(await client.ended()).toMatch(/^HTTP\/1.1 200 /);
    client.socket.destroy();
  }
});

test('a unix socket has the permissions asked for and is removed at the end', async () => {
  const path = join(folder, 'a.sock');
  const server = await serve(app, { net: 'unix', addr: path, mode: 0o660 });
  expect(server).toMatchObject({ address: path, url: `unix:${path}` });
  expect((await stat(path)).mode & 0o777).toBe(0o660);
  const client = await connectRaw({ path });
  await client.send(getRoot);
  expect(await client.ended()).toMatch(/^HTTP\/1.1 200 /);
  client.socket.destroy();
  await server.drain(1000);
  await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('the socket file of a server that was killed is replaced', async () => {
  const path = join(folder, 'stale.sock');
  const script = `require('net').createServer().listen(process.argv[1], () => console.log('ready'))`;
  const killed = spawn(process.execPath, ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect((await stat(path)).isSocket()).toBe(true);

  await serve(app, { net: 'unix', addr: path });
  const client = await connectRaw({ path });
  await client.send(getRoot);
  expect(await client.ended()).toMatch(/^HTTP\/1.1 200 /);
  client.socket.destroy();
});

test('the socket of a live server is left alone', async () => {
  const path = join(folder, 'live.sock');
  const live = createServer((socket) => socket.on('error', () => {}).end('alive')).listen(path);
  await once(live, 'listening');
  await expect(serve(app, { net: 'unix', addr: path })).rejects.toMatchObject({
    code: 'ADDRESS_IN_USE',
    message: expect.stringContaining('running server'),
  });
  expect(await (await connectRaw({ path })).ended()).toBe('alive');
  live.close();
});

test('a file that is no socket is not touched', async () => {
  const path = join(folder, 'file.txt');
  await writeFile(path, 'precious');
  await expect(serve(app, { net: 'unix', addr: path })).rejects.toMatchObject({
    code: 'ADDRESS_IN_USE',
    message: expect.stringContaining('not a socket'),
  });
  expect(await readFile(path, 'utf8')).toBe('precious');
});

test('a socket in a folder that does not exist says so', async () => {
  await expect(serve(app, { net: 'unix', addr: join(folder, 'none', 'a.sock') })).rejects.toMatchObject({
    code: 'ADDRESS_DENIED',
    message: expect.stringMatching(/none\/a\.sock.*folder that exists/),
  });
});
