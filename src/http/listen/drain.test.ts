import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { createTestCertificates } from './testing/certificates.ts';
import { deferred } from './testing/deferred.ts';
import { connectRaw, wrapRaw } from './testing/raw-client.ts';
import { serve } from './testing/serve.ts';

/** An application whose request `/slow` answers when told to; `/late` has sent its header by then. */
function slowApp() {
  const arrived = deferred();
  const answer = deferred();
  const gone = deferred<string>();
  const app = new Hono<{ Bindings: HttpBindings }>()
    .get('/', (c) => c.text('hello'))
    .get('/slow', async (c) => {
      c.env.outgoing.once('close', () => gone.resolve(c.env.outgoing.writableFinished ? 'finished' : 'cut'));
      c.req.raw.signal.addEventListener('abort', () => gone.resolve('cut'));
      arrived.resolve();
      await answer.promise;
      return c.text('slow answer');
    })
    .get('/late', async (c) => {
      const { outgoing } = c.env;
      outgoing.writeHead(200, { 'Content-Length': 10 });
      outgoing.write('begin');
      arrived.resolve();
      await answer.promise;
      outgoing.end('later');
      return RESPONSE_ALREADY_SENT;
    });
  return { app, arrived: arrived.promise, answer: answer.resolve, gone: gone.promise };
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: r\r\n\r\n`;

test('draining closes idle connections at once and takes no new ones', async () => {
  const { target, drain } = await serve(slowApp().app);
  const idle = await connectRaw(target);
  await idle.send(get('/'));
  await idle.until('hello');
  const silent = await connectRaw(target);
  await drain(60_000);
  await Promise.all([idle.ended(), silent.ended()]);
  await expect(connectRaw(target)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('draining lets a running request finish and closes its connection then', async () => {
  const { app, arrived, answer } = slowApp();
  const { target, drain } = await serve(app);
  const client = await connectRaw(target);
  await client.send(get('/slow'));
  await arrived;
  const drained = drain(60_000);
  await expect(connectRaw(target)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  answer();
  const text = await client.ended();
  expect(text).toContain('slow answer');
  expect(text).toContain('Connection: close');
  await drained;
});

test('draining closes the connection of an answer that had already begun', async () => {
  const { app, arrived, answer } = slowApp();
  const { target, drain } = await serve(app);
  const client = await connectRaw(target);
  await client.send(get('/late'));
  await arrived;
  await client.until('begin');
  const drained = drain(60_000);
  answer();
  expect(await client.ended()).toMatch(/beginlater$/);
  await drained;
});

test('draining does not cut an answer that is complete but not yet taken', async () => {
  const size = 32 * 1024 * 1024;
  const begun = deferred();
  const app = new Hono<{ Bindings: HttpBindings }>().get('/', (c) => {
    c.env.outgoing.writeHead(200, { 'Content-Length': size }).end(Buffer.alloc(size, 'x'));
    begun.resolve();
    return RESPONSE_ALREADY_SENT;
  });
  const { target, drain } = await serve(app);
  const client = await connectRaw(target);
  let received = 0;
  client.socket.removeAllListeners('data');
  client.socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  client.socket.pause();
  await client.send(get('/'));
  await begun.promise;
  const drained = drain(60_000);
  client.socket.resume();
  await once(client.socket, 'end');
  expect(received).toBeGreaterThan(size);
  await drained;
});

test('a request that outlasts the time is cut, and looks like a client that went away', async () => {
  const { app, arrived, gone } = slowApp();
  const { target, drain } = await serve(app);
  const client = await connectRaw(target);
  await client.send(get('/slow'));
  await arrived;
  await drain(50);
  expect(await gone).toBe('cut');
  expect(await client.ended()).toBe('');
});

test('a drain time of 0 cuts at once', async () => {
  const { app, arrived, gone } = slowApp();
  const { target, drain } = await serve(app);
  const client = await connectRaw(target);
  await client.send(get('/slow'));
  await arrived;
  await drain(0);
  expect(await gone).toBe('cut');
});

test('draining twice is draining once', async () => {
  const { drain } = await serve(slowApp().app);
  const first = drain(1000);
  expect(drain(0)).toBe(first);
  await first;
});

test('draining works the same under TLS, and does not wait for handshakes', async () => {
  const files = createTestCertificates();
  const authority = files.authority('authority');
  const { app, arrived, answer } = slowApp();
  const { target, drain } = await serve(app, { tls: authority.issue('server') });
  const client = wrapRaw(connectTls({ ...target, ca: authority.cert }));
  await client.send(get('/slow'));
  await arrived;
  const handshaking = await connectRaw(target);
  const drained = drain(60_000);
  answer();
  expect(await client.ended()).toContain('slow answer');
  client.socket.destroy();
  await drained;
  await handshaking.ended();
  files.remove();
});

test('a request that outlasts the time is cut under TLS, too', async () => {
  const files = createTestCertificates();
  const authority = files.authority('authority');
  const { app, arrived, gone } = slowApp();
  const { target, drain } = await serve(app, { tls: authority.issue('server') });
  const client = wrapRaw(connectTls({ ...target, ca: authority.cert }));
  await client.send(get('/slow'));
  await arrived;
  await drain(20);
  expect(await gone).toBe('cut');
  files.remove();
});
