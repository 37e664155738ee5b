import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { createTestCertificates } from './testing/certificates.ts';
import { deferred } from './testing/deferred.ts';
import { connectRaw, wrapRaw } from './testing/raw-client.ts';
import { serve } from './testing/serve.ts';

const cut = 'cut a client that neither sent nor took bytes';
const timeouts = { body: 100 };

test('a client that stops in the middle of its body is cut, and the handler hears of it', async () => {
  const outcome = deferred<unknown>();
  const app = new Hono<{ Bindings: HttpBindings }>().put('/', async (c) => {
    c.env.incoming.on('error', outcome.resolve).resume();
    await outcome.promise;
    return c.text('');
  });
  const { target, log } = await serve(app, { timeouts });
  const client = await connectRaw(target);
  await client.send('PUT / HTTP/1.1\r\nHost: r\r\nContent-Length: 100\r\n\r\nabc');
  await client.ended();
  expect(await outcome.promise).toMatchObject({ code: 'ECONNRESET' });
  expect(log.lines).toContainEqual(expect.objectContaining({ message: cut }));
});

test.each(['http', 'https'])(
  'a client that stops to take its answer over %s is cut, and the handler hears of it',
  async (scheme) => {
    const closed = deferred();
    const chunk = Buffer.alloc(1024 * 1024);
    const app = new Hono<{ Bindings: HttpBindings }>().get('/', async (c) => {
      const { outgoing } = c.env;
      outgoing.once('close', closed.resolve);
      outgoing.writeHead(200);
      while (!outgoing.destroyed) {
        if (!outgoing.write(chunk)) await Promise.race([once(outgoing, 'drain'), closed.promise]);
      }
      return RESPONSE_ALREADY_SENT;
    });
    const files = createTestCertificates();
    const authority = files.authority('authority');
    const tls = scheme === 'https' ? authority.issue('server') : undefined;
    const { target, log } = await serve(app, { timeouts, tls });
    const client = tls ? wrapRaw(connectTls({ ...target, ca: authority.cert })) : await connectRaw(target);
    await client.send('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
    await client.until('200 OK');
    client.socket.pause();
    await closed.promise;
    await log.seen(cut);
    client.socket.destroy();
    files.remove();
  },
);

test('a client that takes its answer slowly is not cut', async () => {
  const size = 48 * 1024 * 1024;
  const app = new Hono<{ Bindings: HttpBindings }>().get('/', (c) => {
    c.env.outgoing.writeHead(200, { 'Content-Length': size }).end(Buffer.alloc(size));
    return RESPONSE_ALREADY_SENT;
  });
  // Not shorter: the kernel holds megabytes, and takes more only when it has got rid of some of them.
  const { target } = await serve(app, { timeouts: { body: 1000 } });
  const { socket, send } = await connectRaw(target);
  let received = 0;
  socket.removeAllListeners('data');
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    socket.pause();
    setTimeout(() => socket.resume(), 2);
  });
  await send('GET / HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n');
  await once(socket, 'end');
  expect(received).toBeGreaterThan(size);
  socket.destroy();
});

test('a client that keeps sending, however slowly, is not cut', async () => {
  const app = new Hono<{ Bindings: HttpBindings }>().put('/', async (c) => {
    let size = 0;
    for await (const chunk of c.env.incoming) size += (chunk as Buffer).length;
    return c.text(`got ${size}`);
  });
  const { target } = await serve(app, { timeouts });
  const client = await connectRaw(target);
  await client.send('PUT / HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\n');
  for (let sent = 0; sent < 10; sent++) {
    await delay(30);
    await client.send('x');
  }
  await client.until('got 10');
  client.socket.destroy();
});

test('a request is not cut while the server is at work on it', async () => {
  const app = new Hono<{ Bindings: HttpBindings }>()
    .get('/', async (c) => {
      await delay(350);
      return c.text('done');
    })
    .put('/', async (c) => {
      await delay(350);
      let size = 0;
      for await (const chunk of c.env.incoming) size += (chunk as Buffer).length;
      await delay(350);
      return c.text(`got ${size}`);
    });
  const { target } = await serve(app, { timeouts });
  const reader = await connectRaw(target);
  const writer = await connectRaw(target);
  await reader.send('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
  await writer.send('PUT / HTTP/1.1\r\nHost: r\r\nContent-Length: 3000000\r\n\r\n');
  await Promise.all([reader.until('done'), writer.send(Buffer.alloc(3_000_000)), writer.until('got 3000000')]);
  reader.socket.destroy();
  writer.socket.destroy();
});

test('a client that waits for 100 Continue is not cut while the server makes up its mind', async () => {
  const app = new Hono().put('/', async (c) => {
    await delay(350);
    return c.text('no', 401);
  });
  const { target } = await serve(app, { timeouts });
  const client = await connectRaw(target);
  await client.send('PUT / HTTP/1.1\r\nHost: r\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n');
  expect(await client.ended()).toContain(' 401 ');
  client.socket.destroy();
});

test('a connection without a request is closed quietly after its time', async () => {
  const { target, log } = await serve(
    new Hono().get('/', (c) => c.text('hello')),
    { timeouts: { keepalive: 50 } },
  );
  const client = await connectRaw(target);
  await client.send('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
  await client.until('hello');
  await client.ended();
  expect(log.lines).toEqual([]);
});
