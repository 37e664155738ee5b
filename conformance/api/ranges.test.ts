import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type Algorithm, blob } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectHeaders, expectStatus } from './expectations.ts';
import { multipartOf } from './multipart.ts';
import { pushBlob, pushImage } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();
const size = 2048;
const content = await pushBlob(registry, repository, blob(randomBytes(size)));

function get(range: string, headers: Record<string, string> = {}, digest = content.digest): Promise<Reply> {
  return registry.request('GET', `/v2/${repository}/blobs/${digest}`, { headers: { Range: range, ...headers } });
}

/** First and last byte of the answer. */
const satisfiable: readonly [range: string, first: number, last: number][] = [
  ['bytes=0-0', 0, 0],
  ['bytes=0-499', 0, 499],
  ['bytes=500-1499', 500, 1499],
  ['bytes=500-', 500, 2047],
  ['bytes=0-', 0, 2047],
  ['bytes=2047-', 2047, 2047],
  ['bytes=2047-2047', 2047, 2047],
  ['bytes=-1', 2047, 2047],
  ['bytes=-500', 1548, 2047],
  ['bytes=-2048', 0, 2047],
  ['bytes=-5000', 0, 2047],
  ['bytes=2000-5000', 2000, 2047],
  ['bytes=0-2048', 0, 2047],
  ['bytes=0-99999999999999999', 0, 2047],
  ['bytes=00500-01499', 500, 1499],
];

describe('a part of a blob is 206 with what was asked for [OCI "Pulling blobs"; RFC 9110 §14]', () => {
  for (const [range, first, last] of satisfiable) {
    test(range, async () => {
      const reply = await get(range);
      expectStatus(reply, 206);
      expectHeaders(reply, {
        'Content-Range': `bytes ${first}-${last}/${size}`,
        'Content-Length': String(last - first + 1),
        'Docker-Content-Digest': content.digest,
        ETag: `"${content.digest}"`,
        'Accept-Ranges': 'bytes',
      });
      expect(reply.body).toEqual(content.bytes.subarray(first, last + 1));
    });
  }

  test('of a blob that was pushed as sha512', async () => {
    const algorithm: Algorithm = 'sha512';
    const { digest, bytes } = await pushBlob(registry, repository, blob(randomBytes(100), undefined, algorithm));
    const reply = await get('bytes=10-19', {}, digest);
    expectStatus(reply, 206);
    expect(reply.body).toEqual(bytes.subarray(10, 20));
  });

  test('pieces fetched side by side make the whole, as containerd fetches large layers', async () => {
    const large = await pushBlob(registry, repository, blob(randomBytes(3 << 20)));
    const piece = 1 << 19;
    const starts = Array.from({ length: 6 }, (_, i) => i * piece);
    const replies = await Promise.all(
      starts.map((start) => get(`bytes=${start}-${start + piece - 1}`, {}, large.digest)),
    );
    expect(Buffer.concat(replies.map(({ body }) => body)).equals(large.bytes)).toBe(true);
  });
});

const unsatisfiable = [
  'bytes=2048-',
  'bytes=2048-2048',
  'bytes=5000-10000',
  'bytes=500-0',
  'bytes=-0',
  'bytes=99999999999999999999999-',
  'bytes=3000-4000,5000-6000',
];

describe('a part that is not there is 416 [RFC 9110 §15.5.17; OCI main]', () => {
  for (const range of unsatisfiable) {
    test(range, async () => {
      const reply = await get(range);
      expectStatus(reply, 416);
      expectHeaders(reply, { 'Content-Range': `bytes */${size}`, 'Content-Length': String(reply.body.length) });
    });
  }

  for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=0-100']) {
    test(`${range} of nothing`, async () => {
      const empty = await pushBlob(registry, repository, blob(''));
      const reply = await get(range, {}, empty.digest);
      expectStatus(reply, 416);
      expectHeaders(reply, { 'Content-Range': 'bytes */0' });
    });
  }
});

const malformed = [
  'bytes=',
  '=0',
  '=a',
  'bytes=a-b',
  'bytes=1--2',
  'bytes=--1',
  'bytes=-',
  'bytes=1',
  'bytes=0x1-2',
  'byte=0-1',
  'pages=1-2',
];

describe('what is no range of bytes is ignored [RFC 9110 §14.2]', () => {
  for (const range of malformed) {
    test(range, async () => {
      const reply = await get(range);
      expectStatus(reply, 200);
      expect(reply.body).toEqual(content.bytes);
    });
  }
});

const lists: readonly [range: string, parts: readonly (readonly [number, number])[]][] = [
  [
    'bytes=0-1,4-6',
    [
      [0, 1],
      [4, 6],
    ],
  ],
  [
    'bytes=0-1, 4-6',
    [
      [0, 1],
      [4, 6],
    ],
  ],
  [
    'bytes=100-199,0-9,-10',
    [
      [100, 199],
      [0, 9],
      [2038, 2047],
    ],
  ],
  [
    'bytes=0-0,2000-',
    [
      [0, 0],
      [2000, 2047],
    ],
  ],
  ['bytes=0-1,5000-6000', [[0, 1]]],
  ['bytes=5000-6000,4-6', [[4, 6]]],
]; // prettier-ignore

describe('several parts are 206 multipart/byteranges [RFC 9110 §14.6; zot, containers/image]', () => {
  for (const [range, parts] of lists) {
    test(range, async () => {
      const reply = await get(range);
      expectStatus(reply, 206);
      const received = multipartOf(reply);
      expect(received.map(({ range: contentRange }) => contentRange)).toEqual(
        parts.map(([first, last]) => `bytes ${first}-${last}/${size}`),
      );
      expect(received.map(({ body }) => body)).toEqual(
        parts.map(([first, last]) => content.bytes.subarray(first, last + 1)),
      );
    });
  }

  test('the boundary is of letters, digits and hyphens [containers/image]', async () => {
    expectHeaders(await get('bytes=0-1,4-6'), {
      'Content-Type': /^multipart\/byteranges; ?boundary="?[A-Za-z0-9-]{1,70}"?$/,
    });
  });

  test('each part says its type [RFC 9110 §14.6]', async () => {
    const parts = multipartOf(await get('bytes=0-1,4-6'));
    expect(parts.map(({ type }) => type)).toEqual(['application/octet-stream', 'application/octet-stream']);
  });

  test('very many parts are served in less than they ask for, or refused [RFC 9110 §14.2]', async () => {
    const range = `bytes=${Array.from({ length: 1500 }, () => '0-').join(',')}`;
    const reply = await get(range);
    expectStatus(reply, 200, 206, 416);
    expect(reply.body.length).toBeLessThan(1500 * size);
  });
});

describe('ranges with conditions [RFC 9110 §13.1.5, §13.2.2]', () => {
  test('If-Range with the entity tag: the part', async () => {
    expectStatus(await get('bytes=0-9', { 'If-Range': `"${content.digest}"` }), 206);
  });

  test('If-Range with another one: the whole', async () => {
    const reply = await get('bytes=0-9', { 'If-Range': '"other"' });
    expectStatus(reply, 200);
    expect(reply.body).toEqual(content.bytes);
  });

  test('If-None-Match that matches: 304 before the range is looked at', async () => {
    expectStatus(await get('bytes=0-9', { 'If-None-Match': `"${content.digest}"` }), 304);
  });
});

describe('where a range means nothing', () => {
  test('HEAD tells of the whole, or of the part [RFC 9110 §14.2]', async () => {
    const target = `/v2/${repository}/blobs/${content.digest}`;
    const reply = await registry.request('HEAD', target, { headers: { Range: 'bytes=0-9' } });
    expectStatus(reply, 200, 206);
    expectHeaders(reply, { 'Content-Length': reply.status === 200 ? String(size) : '10' });
  });

  test('a manifest is sent whole [distribution]', async () => {
    const { manifest } = await pushImage(registry, repository);
    const target = `/v2/${repository}/manifests/${manifest.digest}`;
    const reply = await registry.request('GET', target, { headers: { Range: 'bytes=0-9' } });
    expectStatus(reply, 200);
    expect(reply.body).toEqual(manifest.bytes);
  });
});

checkEveryResponse();
