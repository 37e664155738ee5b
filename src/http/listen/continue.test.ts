import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { continueIfExpected } from './continue.ts';
import { connectRaw } from './testing/raw-client.ts';
import { serve } from './testing/serve.ts';

const app = new Hono<{ Bindings: HttpBindings }>()
  .put('/refused', (c) => c.json({ errors: [] }, 401))
  .put('/taken', async (c) => {
    continueIfExpected(c.env.incoming, c.env.outgoing);
    continueIfExpected(c.env.incoming, c.env.outgoing);
    let body = '';
    for await (const chunk of c.env.incoming) body += String(chunk);
    return c.text(`got ${body}`, 201);
  });

const head = (path: string) => `PUT ${path} HTTP/1.1\r\nHost: r\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n`;

test('a client that waits to be told hears it once, when the body is wanted', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send(head('/taken'));
  expect(await client.until('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
  await client.send('body');
  const answer = await client.until('got body');
  expect(answer.match(/HTTP\/1.1/g)).toHaveLength(2);
  expect(answer).not.toContain('Connection: close');
  client.socket.destroy();
});

test('a refused upload is never asked for, and its connection is closed', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send(head('/refused'));
  const answer = await client.ended();
  expect(answer).toMatch(/^HTTP\/1.1 401 /);
  expect(answer).toContain('Connection: close');
  client.socket.destroy();
});

test('a client that does not wait is served all the same', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send(`${head('/taken')}body`);
  await client.until('got body');
  client.socket.destroy();
});

test('HTTP/1.0 knows no continue', async () => {
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send(`${head('/taken').replace('1.1', '1.0')}body`);
  expect(await client.ended()).not.toContain(' 100 ');
  client.socket.destroy();
});
