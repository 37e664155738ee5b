import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectError, expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { startUpload, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const bytes = randomBytes(300);
const digest = digestOf(bytes);

function patch(location: string, contentRange: string, body: Uint8Array): Promise<Reply> {
  return registry.request('PATCH', location, {
    headers: { 'Content-Range': contentRange, 'Content-Type': 'application/octet-stream' },
    body,
  });
}

/** A session with the first `stored` bytes. @returns its first and its newest location */
async function session(stored: number): Promise<{ first: string; newest: string }> {
  const first = await startUpload(registry, registry.repository());
  if (stored === 0) return { first, newest: first };
  const reply = await patch(first, `0-${stored - 1}`, bytes.subarray(0, stored));
  expectStatus(reply, 202);
  return { first, newest: locationOf(reply) };
}

/** The session holds the first `stored` bytes and can be ended. */
async function expectUsable(location: string, stored: number): Promise<void> {
  const status = await registry.request('GET', location);
  expectStatus(status, 204);
  expectHeaders(status, { Range: `0-${Math.max(0, stored - 1)}` });
  const rest = await patch(locationOf(status), `${stored}-299`, bytes.subarray(stored));
  expectStatus(rest, 202);
  expectStatus(await registry.request('PUT', withQuery(locationOf(rest), `digest=${digest}`)), 201);
}

describe('chunks in order [OCI end-5]', () => {
  test('say how far the session has come', async () => {
    const { newest } = await session(100);
    const reply = await patch(newest, '100-199', bytes.subarray(100, 200));
    expectStatus(reply, 202);
    expectHeaders(reply, { Range: '0-199', 'Docker-Upload-UUID': /./, 'Content-Length': '0' });
    await expectUsable(locationOf(reply), 200);
  });

  test('may be of one byte', async () => {
    const { newest } = await session(1);
    const reply = await patch(newest, '1-1', bytes.subarray(1, 2));
    expectStatus(reply, 202);
    await expectUsable(locationOf(reply), 2);
  });

  for (const contentRange of ['bytes 100-199/300', 'bytes 100-199/*', 'bytes 100-199']) {
    test(`in the words of RFC 9110: ${contentRange} [berth]`, async () => {
      const { newest } = await session(100);
      expectStatus(await patch(newest, contentRange, bytes.subarray(100, 200)), 202);
    });
  }

  test('the last one may come with PUT [OCI end-6]', async () => {
    const { newest } = await session(100);
    const headers = { 'Content-Range': '100-299' };
    const target = withQuery(newest, `digest=${digest}`);
    expectStatus(await registry.request('PUT', target, { headers, body: bytes.subarray(100) }), 201);
  });

  test('without a length, in chunked transfer coding', async () => {
    const { newest } = await session(100);
    const headers = { 'Content-Range': '100-199' };
    const body = [bytes.subarray(100, 150), bytes.subarray(150, 200)];
    const reply = await registry.request('PATCH', newest, { headers, body });
    expectStatus(reply, 202);
    expectHeaders(reply, { Range: '0-199' });
  });
});

const outOfOrder: readonly { name: string; stored: number; range: string; length: number; old?: boolean }[] = [
  { name: 'a gap', stored: 100, range: '150-199', length: 50 },
  { name: 'a gap at the beginning', stored: 0, range: '3-22', length: 20 },
  { name: 'an overlap', stored: 100, range: '50-149', length: 100 },
  { name: 'the same chunk again', stored: 100, range: '0-99', length: 100 },
  { name: 'the same chunk again at the old location', stored: 100, range: '0-99', length: 100, old: true },
  { name: 'a start that no file has', stored: 100, range: '9007199254740993-9007199254741002', length: 10 },
];

describe('a chunk out of order is 416, and the session goes on from where it was [OCI end-5]', () => {
  for (const { name, stored, range, length, old = false } of outOfOrder) {
    test(`${name}: ${range} after ${stored}`, async () => {
      const { first, newest } = await session(stored);
      const reply = await patch(old ? first : newest, range, bytes.subarray(0, length));
      expectError(reply, 416, 'BLOB_UPLOAD_INVALID', 'RANGE_INVALID');
      expectHeaders(reply, { Range: `0-${Math.max(0, stored - 1)}`, 'Docker-Upload-UUID': /./ });
      await expectUsable(locationOf(reply), stored);
    });
  }

  test('also with PUT [OCI main end-6]', async () => {
    const { newest } = await session(100);
    const target = withQuery(newest, `digest=${digest}`);
    const headers = { 'Content-Range': '150-299' };
    const reply = await registry.request('PUT', target, { headers, body: bytes.subarray(150) });
    expectError(reply, 416, 'BLOB_UPLOAD_INVALID', 'RANGE_INVALID');
    expectHeaders(reply, { Range: '0-99' });
    await expectUsable(newest, 100);
  });
});

const unreadable = ['abc', '1', '-', '5-', '-5', '1-2-3', '0x1-2', '99-50', 'bytes */300', '100 - 199', '1e2-199', ''];

describe('a Content-Range that says nothing is 416, and the session stays [OCI end-5]', () => {
  for (const range of unreadable) {
    test(JSON.stringify(range), async () => {
      const { newest } = await session(100);
      const reply = await patch(newest, range, bytes.subarray(100, 200));
      // An empty header is as good as none (RFC 9110 §5.5).
      if (range === '' && reply.status === 202) return expectUsable(locationOf(reply), 200);
      expectStatus(reply, 400, 416);
      await expectUsable(newest, 100);
    });
  }
});

describe('a length that is not that of the range is 400 SIZE_INVALID [distribution; OCI "Error Codes"]', () => {
  const lengths: readonly [range: string, length: number][] = [
    ['0-20', 100],
    ['0-99', 20],
    ['0-0', 2],
    ['0-299', 0],
  ];
  for (const [range, length] of lengths) {
    test(`${range} with ${length} bytes`, async () => {
      const { newest } = await session(0);
      expectError(await patch(newest, range, bytes.subarray(0, length)), 400, 'SIZE_INVALID');
      await expectUsable(newest, 0);
    });
  }

  test('in chunked transfer coding it is never counted as the range', async () => {
    const { newest } = await session(100);
    const body = [bytes.subarray(100, 150)];
    const reply = await registry.request('PATCH', newest, { headers: { 'Content-Range': '100-199' }, body });
    expectStatus(reply, 202, 400, 416);
    const stored = Number((await registry.request('GET', newest)).header('range')?.slice(2)) + 1;
    expect([100, 150]).toContain(stored);
    await expectUsable(newest, stored);
  });
});

test('chunks of many sizes make one blob [OCI "Pushing a blob in chunks"]', async () => {
  const whole = randomBytes(2_000_003);
  let location = await startUpload(registry, registry.repository());
  let start = 0;
  for (const size of [1, 7, 65_535, 65_536, 65_537, 1 << 20, 4096]) {
    const reply = await patch(location, `${start}-${start + size - 1}`, whole.subarray(start, start + size));
    expectStatus(reply, 202);
    start += size;
    location = locationOf(reply);
  }
  const headers = { 'Content-Range': `${start}-${whole.length - 1}` };
  const target = withQuery(location, `digest=${digestOf(whole)}`);
  expectStatus(await registry.request('PUT', target, { headers, body: whole.subarray(start) }), 201);
});

checkEveryResponse();
