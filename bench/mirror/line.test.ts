import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { startLine } from './line.ts';

test('a line brings all bytes, and not faster than it is', async () => {
  const bytes = Buffer.alloc(1_000_000, 'x');
  const server = createServer((_, response) => response.end(bytes));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const line = await startLine((server.address() as AddressInfo).port, 4_000_000);
  const begun = performance.now();
  const bodies = await Promise.all([0, 1].map(async () => (await fetch(line.url)).arrayBuffer()));
  expect(bodies.every((body) => Buffer.from(body).equals(bytes))).toBe(true);
  expect(performance.now() - begun).toBeGreaterThan(450);
  line.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
