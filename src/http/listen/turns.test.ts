import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { deferred } from './testing/deferred.ts';
import { connectRaw } from './testing/raw-client.ts';
import { serve, type TestApp } from './testing/serve.ts';

function request(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: r\r\n\r\n`;
}

test('pipelined requests are handled one after the other, in order', async () => {
  const app: TestApp = new Hono();
  const begun: string[] = [];
  const gate = deferred();
  const arrived = deferred();
  app.get('/:name', async (context) => {
    begun.push(context.req.param('name'));
    if (begun.includes('other')) arrived.resolve();
    await gate.promise;
    return context.text(context.req.param('name'));
  });
  const { target } = await serve(app);
  const client = await connectRaw(target);
  await client.send(['/a', '/b', '/c'].map(request).join(''));
  const other = await connectRaw(target);
  await other.send(request('/other'));
  await arrived.promise;
  expect(begun.toSorted()).toEqual(['a', 'other']);
  gate.resolve();
  await other.until('\r\n\r\nother');
  const text = await client.until('\r\n\r\nc');
  expect(text.match(/\r\n\r\n[abc]/g)).toEqual(['\r\n\r\na', '\r\n\r\nb', '\r\n\r\nc']);
  client.socket.destroy();
  other.socket.destroy();
});

test('what waits is forgotten when the connection ends, and a client far ahead is cut', async () => {
  const app: TestApp = new Hono();
  let begun = 0;
  const gate = deferred();
  app.get('/slow', async (context) => {
    begun++;
    await gate.promise;
    return context.text('done');
  });
  app.get('/fast', (context) => context.text('fast'));
  const { target } = await serve(app);
  const client = await connectRaw(target);
  client.socket.on('error', () => {});
  await client.send(request('/slow').repeat(500)).catch(() => undefined);
  await client.ended();
  gate.resolve();
  const other = await connectRaw(target);
  await other.send(request('/fast'));
  await other.until('\r\n\r\nfast');
  expect(begun).toBe(1);
  other.socket.destroy();
});
