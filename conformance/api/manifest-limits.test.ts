import { describe, expect, test } from 'vitest';
import { type Content, digestOf, index, mediaTypes } from '../harness/content.ts';
import { createHttpClient, type Reply } from '../harness/http-client.ts';
import { rawConnection } from '../harness/raw-connection.ts';
import { expectError, expectHeaders, expectStatus } from './expectations.ts';
import { pushManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();

/** What both sides should expect at least (OCI "Pushing Manifests"), and where distribution and zot draw the line. */
const limit = 4 << 20;

/** An index of exactly `size` bytes. */
function indexOf(size: number): Content {
  const bare = index([], { annotations: { filling: '' } });
  const text = bare.bytes.toString().replace('"filling": ""', `"filling": "${'x'.repeat(size - bare.bytes.length)}"`);
  const bytes = Buffer.from(text);
  expect(bytes).toHaveLength(size);
  return { bytes, digest: digestOf(bytes), mediaType: mediaTypes.index };
}

describe('large manifests are taken [OCI "Pushing Manifests"]', () => {
  for (const size of [100_000, 1 << 20, 3_900_000, limit - 1, limit]) {
    test(`${size} bytes`, async () => {
      const content = await pushManifest(registry, repository, indexOf(size), `of-${size}`);
      const reply = await registry.request('GET', `/v2/${repository}/manifests/of-${size}`);
      expectHeaders(reply, { 'Content-Length': String(size), 'Docker-Content-Digest': content.digest });
      expect(reply.body.equals(content.bytes)).toBe(true);
    });
  }

  test(`${limit} bytes in chunked transfer coding`, async () => {
    const content = indexOf(limit);
    const body = Array.from({ length: 64 }, (_, i) => content.bytes.subarray(i << 16, (i + 1) << 16));
    const headers = { 'Content-Type': content.mediaType };
    const reply = await registry.request('PUT', `/v2/${repository}/manifests/chunked`, { headers, body });
    expectStatus(reply, 201);
  });

  test('some 400 annotations of 10,000 bytes [conformance suite of OCI main]', async () => {
    const annotations = Object.fromEntries(Array.from({ length: 390 }, (_, i) => [`key-${i}`, 'v'.repeat(10_000)]));
    await pushManifest(registry, repository, index([], { annotations }), 'annotated');
  });
});

describe('larger ones are 413, and the error can be read [zot; OCI "Error Codes"]', () => {
  /** By a client with one connection, which must be good for another request, or closed in order. */
  async function send(body: Buffer | Buffer[]): Promise<Reply> {
    const client = createHttpClient(registry.url, { maxConnections: 1 });
    const headers = { 'Content-Type': mediaTypes.index };
    const reply = await client.request('PUT', `/v2/${repository}/manifests/too-large`, { headers, body });
    expectStatus(await client.request('GET', '/v2/'), 200);
    client.close();
    return reply;
  }

  for (const size of [limit + 1, 6 << 20, 20 << 20]) {
    test(`${size} bytes`, async () => {
      expectError(await send(indexOf(size).bytes), 413, 'MANIFEST_INVALID', 'SIZE_INVALID');
      expectStatus(await registry.request('HEAD', `/v2/${repository}/manifests/too-large`), 404);
    });
  }

  test('6 MiB in chunked transfer coding', async () => {
    const { bytes } = indexOf(6 << 20);
    const body = Array.from({ length: 96 }, (_, i) => bytes.subarray(i << 16, (i + 1) << 16));
    expectError(await send(body), 413, 'MANIFEST_INVALID', 'SIZE_INVALID');
  });

  test('1 GiB that is announced and never sent', async () => {
    const connection = await rawConnection(registry.host);
    connection.write(
      [
        `PUT /v2/${repository}/manifests/announced HTTP/1.1`,
        `Host: ${registry.host}`,
        `Content-Type: ${mediaTypes.index}`,
        `Content-Length: ${1 << 30}`,
        '',
        '',
      ].join('\r\n'),
    );
    expect(await connection.response()).toMatchObject({ status: 413 });
    connection.destroy();
  });
});

checkEveryResponse();
