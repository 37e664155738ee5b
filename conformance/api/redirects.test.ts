import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blob, type Content } from '../harness/content.ts';
import { createHttpClient, type HttpClient } from '../harness/http-client.ts';
import type { Server } from '../harness/server.ts';
import { registryIsGiven, startRegistry } from '../harness/under-test.ts';
import { expectError, expectHeaders, expectStatus } from './expectations.ts';
import { pushBlob, pushImage } from './push.ts';
import { connect } from './registry.ts';

const repository = 'some/repository';
const large: Content = blob(randomBytes(6 << 20));

/** A registry on S3, a client of it that follows nothing, and what both are asked about. */
interface Started {
  client: HttpClient;
  /** The paths of blobs with what they hold. */
  blobs: Map<string, Content>;
  manifest: string;
}

/** These need servers that are set up in their own way, so they are left out when a registry is given. */
describe.skipIf(registryIsGiven)('a registry on S3', () => {
  function withRedirects(redirect: boolean): () => Started {
    let server: Server;
    let started: Started;
    beforeAll(async () => {
      server = await startRegistry({ storage: 's3', redirect });
      const registry = connect(server.url);
      const contents = [blob(), large, blob(randomBytes(1000), undefined, 'sha512')];
      for (const content of contents) await pushBlob(registry, repository, content);
      const { manifest } = await pushImage(registry, repository, 'latest');
      started = {
        client: createHttpClient(server.url),
        blobs: new Map(contents.map((content) => [`/v2/${repository}/blobs/${content.digest}`, content])),
        manifest: manifest.digest,
      };
    });
    afterAll(async () => {
      started?.client.close();
      await server?.stop();
    });
    return () => started;
  }

  describe('with redirects', () => {
    const started = withRedirects(true);

    test('GET of a blob is sent to the storage, with the digest and nothing to read [distribution]', async () => {
      const { client, blobs } = started();
      for (const [path, { digest }] of blobs) {
        const reply = await client.request('GET', path);
        expectStatus(reply, 307);
        expectHeaders(reply, {
          'Docker-Content-Digest': digest,
          'Docker-Distribution-API-Version': 'registry/2.0',
          'Content-Length': /^\d+$/,
        });
        expect(reply.header('location')).toMatch(/^http:.*[?&]X-Amz-Signature=/);
      }
    });

    test('the URL gives the bytes to whoever sends no header at all [client]', async () => {
      const { client, blobs } = started();
      for (const [path, { bytes }] of blobs) {
        const location = (await client.request('GET', path)).header('location') ?? '';
        const { origin, pathname, search } = new URL(location);
        const storage = createHttpClient(origin);
        const reply = await storage.request('GET', pathname + search);
        storage.close();
        expectStatus(reply, 200);
        expect(reply.body.equals(bytes)).toBe(true);
        expectHeaders(reply, { 'Content-Length': String(bytes.length), 'Content-Type': 'application/octet-stream' });
      }
    });

    test('the URL gives a part of the bytes, too [client]', async () => {
      const { client } = started();
      const location = (await client.request('GET', `/v2/${repository}/blobs/${large.digest}`)).header('location');
      const reply = await fetch(location ?? '', { headers: { Range: 'bytes=5-6000000' } });
      expect(reply.status).toBe(206);
      expect(Buffer.from(await reply.arrayBuffer()).equals(large.bytes.subarray(5, 6_000_001))).toBe(true);
    });

    test('the URL is good for minutes, not for ever, and for this object alone', async () => {
      const { client, blobs } = started();
      const [one = '', other = ''] = blobs.keys();
      const location = new URL((await client.request('GET', one)).header('location') ?? '');
      const seconds = Number(location.searchParams.get('X-Amz-Expires'));
      expect(seconds).toBeGreaterThanOrEqual(60);
      expect(seconds).toBeLessThanOrEqual(3600);
      const elsewhere = new URL((await client.request('GET', other)).header('location') ?? '');
      location.pathname = elsewhere.pathname;
      expect((await fetch(location)).status).toBe(403);
    });

    test('no cache keeps the redirect longer than the URL is good [RFC 9111 §4.2]', async () => {
      const { client, blobs } = started();
      for (const path of blobs.keys()) {
        const reply = await client.request('GET', path);
        const seconds = Number(new URL(reply.header('location') ?? '').searchParams.get('X-Amz-Expires'));
        const [, age = '0'] = /max-age=(\d+)/.exec(reply.header('cache-control') ?? '') ?? [];
        expect(Number(age), String(reply.header('cache-control'))).toBeLessThanOrEqual(seconds);
      }
    });

    test('HEAD is answered by the registry [client: a URL for GET refuses HEAD]', async () => {
      const { client, blobs } = started();
      for (const [path, { bytes, digest }] of blobs) {
        const reply = await client.request('HEAD', path);
        expectStatus(reply, 200);
        expectHeaders(reply, {
          Location: undefined,
          'Content-Length': String(bytes.length),
          'Docker-Content-Digest': digest,
        });
      }
    });

    test('ranges are answered by the registry [RFC 9110 §14.2]', async () => {
      const { client } = started();
      const path = `/v2/${repository}/blobs/${large.digest}`;
      const part = await client.request('GET', path, { headers: { Range: 'bytes=1000-5999999' } });
      expectStatus(part, 206);
      expect(part.body.equals(large.bytes.subarray(1000, 6_000_000))).toBe(true);
      const beyond = await client.request('GET', path, { headers: { Range: `bytes=${large.bytes.length}-` } });
      expectStatus(beyond, 416);
    });

    test('what the client has already is 304, without a redirect [RFC 9110 §13.1.2]', async () => {
      const headers = { 'If-None-Match': `"${large.digest}"` };
      const reply = await started().client.request('GET', `/v2/${repository}/blobs/${large.digest}`, { headers });
      expectStatus(reply, 304);
      expectHeaders(reply, { Location: undefined });
    });

    test('what is not there is 404, without a redirect [OCI end-2]', async () => {
      const { client } = started();
      for (const path of [`/v2/${repository}/blobs/${blob().digest}`, `/v2/other/blobs/${large.digest}`]) {
        const reply = await client.request('GET', path);
        expectError(reply, 404, 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
        expectHeaders(reply, { Location: undefined });
      }
    });

    test('manifests are answered by the registry [distribution]', async () => {
      const { client, manifest } = started();
      for (const reference of ['latest', manifest]) {
        const reply = await client.request('GET', `/v2/${repository}/manifests/${reference}`);
        expectStatus(reply, 200);
        expectHeaders(reply, { 'Docker-Content-Digest': manifest });
      }
    });
  });

  describe('without redirects', () => {
    const started = withRedirects(false);

    test('all bytes come from the registry [distribution]', async () => {
      const { client, blobs } = started();
      for (const [path, { bytes }] of blobs) {
        const reply = await client.request('GET', path);
        expectStatus(reply, 200);
        expectHeaders(reply, { Location: undefined });
        expect(reply.body.equals(bytes)).toBe(true);
      }
    });
  });
});
