import { once } from 'node:events';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { describe, expect, test } from 'vitest';
import { connectRaw } from './testing/raw-client.ts';
import { serve } from './testing/serve.ts';

const mebibyte = Buffer.alloc(1024 * 1024, 'x');

/** Answers without reading, either through Hono or by itself, or after the first bytes. */
const app = new Hono<{ Bindings: HttpBindings }>()
  .put('/hono', (c) => c.json({ errors: [] }, 401))
  .put('/hono-later', async (c) => {
    await new Promise((resolve) => setImmediate(resolve));
    return c.json({ errors: [] }, 401);
  })
  .put('/direct', (c) => {
    c.env.outgoing.writeHead(401, { 'Content-Length': 2 }).end('no');
    return RESPONSE_ALREADY_SENT;
  })
  .put('/part', async (c) => {
    await once(c.env.incoming, 'data');
    c.env.incoming.pause();
    return c.json({ errors: [] }, 413);
  })
  .put('/all', async (c) => {
    let size = 0;
    for await (const chunk of c.env.incoming) size += (chunk as Buffer).length;
    return c.text(String(size), 201);
  })
  .get('/', (c) => c.text('next'));

const next = 'GET / HTTP/1.1\r\nHost: r\r\n\r\n';

describe.each(['/hono', '/hono-later', '/direct', '/part'])(
  'an answer that does not wait for the body (%s)',
  (path) => {
    test('reaches a client that first sends all of a long body', async () => {
      const { target } = await serve(app);
      const client = await connectRaw(target);
      await client.send(`PUT ${path} HTTP/1.1\r\nHost: r\r\nContent-Length: ${24 * mebibyte.length}\r\n\r\n`);
      client.socket.pause();
      for (let sent = 0; sent < 24; sent++) await client.send(mebibyte);
      client.socket.resume();
      const answer = await client.ended();
      expect(answer).toMatch(/^HTTP\/1.1 4(01|13) /);
      expect(answer).toContain('Connection: close');
      expect(client.fault()).toBeUndefined();
      client.socket.destroy();
    });

    test('reaches a client that first sends all of a body in chunks', async () => {
      const { target } = await serve(app);
      const client = await connectRaw(target);
      await client.send(`PUT ${path} HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n`);
      client.socket.pause();
      for (let sent = 0; sent < 8; sent++) {
        await client.send(`${mebibyte.length.toString(16)}\r\n`);
        await client.send(mebibyte);
        await client.send('\r\n');
      }
      await client.send('0\r\n\r\n');
      client.socket.resume();
      const answer = await client.ended();
      expect(answer).toMatch(/^HTTP\/1.1 4(01|13) /);
      expect(answer).toContain('Connection: close');
      expect(client.fault()).toBeUndefined();
      client.socket.destroy();
    });

    test('leaves the connection open when the body is short', async () => {
      const { target } = await serve(app);
      const client = await connectRaw(target);
      await client.send(`PUT ${path} HTTP/1.1\r\nHost: r\r\nContent-Length: ${mebibyte.length}\r\n\r\n`);
      await client.send(mebibyte);
      await client.send(next);
      expect(await client.until('next')).not.toContain('Connection: close');
      client.socket.destroy();
    });

    test('comes before the client sends its body, and the connection ends with it', async () => {
      const { target } = await serve(app);
      const client = await connectRaw(target);
      await client.send(`PUT ${path} HTTP/1.1\r\nHost: r\r\nContent-Length: ${8 * mebibyte.length}\r\n\r\nbegin`);
      expect(await client.ended()).toMatch(/^HTTP\/1.1 4(01|13) /);
      client.socket.destroy();
    });
  },
);

test('a body that was read to its end keeps the connection, however long', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send(`PUT /all HTTP/1.1\r\nHost: r\r\nContent-Length: ${4 * mebibyte.length}\r\n\r\n`);
  for (let sent = 0; sent < 4; sent++) await client.send(mebibyte);
  await client.until('4194304');
  await client.send('PUT /all HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n');
  await client.send(next);
  const answers = await client.until('next');
  expect(answers).toContain('\r\n\r\n3');
  expect(answers).not.toContain('Connection: close');
  client.socket.destroy();
});

test('a client that asked for the connection to be closed gets that after a body, too', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send('PUT /all HTTP/1.1\r\nHost: r\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
  expect(await client.ended()).toContain('Connection: close');
  client.socket.destroy();
});

test('a request behind one whose answer closes the connection is not carried out', async () => {
  let calls = 0;
  const { target } = await serve(
    new Hono()
      .put('/', (c) => c.text('', 401))
      .get('/', (c) => {
        calls += 1;
        return c.text('');
      }),
  );
  const client = await connectRaw(target);
  await client.send('PUT / HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n');
  await client.ended();
  await client.send(`0\r\n\r\n${next}`);
  client.socket.end();
  await once(client.socket, 'close');
  expect(calls).toBe(0);
});

test('a client that never stops sending is cut off in the end', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send('PUT /direct HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n');
  const flood = async () => {
    for (;;) {
      await client.send(`${mebibyte.length.toString(16)}\r\n`);
      await client.send(mebibyte);
      await client.send('\r\n');
    }
  };
  await expect(flood()).rejects.toThrow(/ECONNRESET|EPIPE/);
  expect(client.text()).toMatch(/^HTTP\/1.1 401 /);
  client.socket.destroy();
});
