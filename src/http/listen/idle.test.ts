import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { deferred } from './testing/deferred.ts';
import { connectRaw } from './testing/raw-client.ts';
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

test('a client that stops to take its answer is cut, and the handler hears of it', async () => {
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
  const { target, log } = await serve(app, { timeouts });
  const client = await connectRaw(target);
  await client.send('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
  await client.until('200 OK');
  client.socket.pause();
  await closed.promise;
  await log.seen(cut);
  client.socket.destroy();
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
