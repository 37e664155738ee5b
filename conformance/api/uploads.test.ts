import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { blob, type Content, unknownDigest } from '../harness/content.ts';
import type { RequestOptions } from '../harness/http-client.ts';
import { expectError, expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { pushBlob, startUpload, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

async function expectBlob(repository: string, content: Content): Promise<void> {
  const reply = await registry.request('GET', `/v2/${repository}/blobs/${content.digest}`);
  expectStatus(reply, 200);
  expect(reply.body.equals(content.bytes)).toBe(true);
}

const openings: readonly { name: string; query?: string; options?: RequestOptions }[] = [
  { name: 'with an empty body' },
  {
    name: 'with Content-Type application/json and no body, as crane does',
    options: { headers: { 'Content-Type': 'application/json' } },
  },
  { name: 'with a body that no digest announces', options: { body: 'not wanted' } },
  { name: 'with a parameter that nobody knows', query: '?origin=registry.example&ns=docker.io' },
  { name: 'with the algorithm sha256', query: '?digest-algorithm=sha256' },
  { name: 'with the algorithm sha512', query: '?digest-algorithm=sha512' },
  { name: 'with from and no mount', query: '?from=some/repository' },
];

describe('POST opens a session [OCI end-4a]', () => {
  for (const { name, query = '', options } of openings) {
    test(name, async () => {
      const repository = registry.repository();
      const reply = await registry.request('POST', `/v2/${repository}/blobs/uploads/${query}`, options);
      expectStatus(reply, 202);
      expectHeaders(reply, { Range: '0-0', 'Docker-Upload-UUID': uuid, 'Content-Length': '0' });
      const location = locationOf(reply);
      expect(location.startsWith(`/v2/${repository}/blobs/uploads/`)).toBe(true);
      const content = blob();
      const target = withQuery(location, `digest=${content.digest}`);
      expectStatus(await registry.request('PUT', target, { body: content.bytes }), 201);
      await expectBlob(repository, content);
    });
  }

  test('of its own each time', async () => {
    const repository = registry.repository();
    const locations = await Promise.all(Array.from({ length: 10 }, () => startUpload(registry, repository)));
    expect(new Set(locations).size).toBe(10);
  });

  test('not for an algorithm that nobody knows [OCI main end-4c]', async () => {
    for (const algorithm of ['md5', 'sha256x', 'SHA256']) {
      const target = `/v2/${registry.repository()}/blobs/uploads/?digest-algorithm=${algorithm}`;
      expectError(await registry.request('POST', target), 400, 'DIGEST_INVALID', 'UNSUPPORTED');
    }
  });
});

describe('POST with the digest and the bytes makes the blob at once [OCI end-4b]', () => {
  const post = (repository: string, digest: string, options: RequestOptions = {}) =>
    registry.request('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, options);

  const contents: readonly [name: string, content: Content][] = [
    ['64 bytes', blob()],
    ['nothing', blob('')],
    ['3 MiB', blob(randomBytes(3 << 20))],
    ['sha512', blob(undefined, undefined, 'sha512')],
  ];
  for (const [name, content] of contents) {
    test(name, async () => {
      const repository = registry.repository();
      const reply = await post(repository, content.digest, {
        headers: { 'Content-Type': 'application/octet-stream' },
        body: content.bytes,
      });
      expectStatus(reply, 201);
      expectHeaders(reply, { 'Docker-Content-Digest': content.digest });
      expect(locationOf(reply)).toBe(`/v2/${repository}/blobs/${content.digest}`);
      await expectBlob(repository, content);
    });
  }

  test('in chunked transfer coding', async () => {
    const repository = registry.repository();
    const content = blob();
    const body = [content.bytes.subarray(0, 10), content.bytes.subarray(10)];
    expectStatus(await post(repository, content.digest, { body }), 201);
    await expectBlob(repository, content);
  });

  test('but not under a digest that is another one’s', async () => {
    const repository = registry.repository();
    const digest = unknownDigest();
    expectError(await post(repository, digest, { body: 'these bytes' }), 400, 'DIGEST_INVALID');
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${digest}`), 404);
  });

  for (const digest of ['sha256:abc', 'nonsense', `sha257:${'a'.repeat(64)}`, `sha256:${'A'.repeat(64)}`]) {
    test(`but not under ${digest.slice(0, 20)}`, async () => {
      expectError(await post(registry.repository(), digest, { body: 'these bytes' }), 400, 'DIGEST_INVALID');
    });
  }

  test('and never under the wrong one of two digests [zot]', async () => {
    const repository = registry.repository();
    const content = blob();
    const wrong = unknownDigest();
    const reply = await post(repository, `${content.digest}&digest=${wrong}`, { body: content.bytes });
    expectStatus(reply, 201, 400);
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${wrong}`), 404);
  });
});

describe('PUT ends a session with the whole blob, as containerd and oras push [OCI end-6]', () => {
  const contents: readonly [name: string, content: Content][] = [
    ['64 bytes', blob()],
    ['nothing', blob('')],
    ['1024 zeros', blob(Buffer.alloc(1024))],
    ['3 MiB', blob(randomBytes(3 << 20))],
    ['sha512 that nobody announced', blob(undefined, undefined, 'sha512')],
  ];
  for (const [name, content] of contents) {
    test(name, async () => {
      const repository = registry.repository();
      const target = withQuery(await startUpload(registry, repository), `digest=${content.digest}`);
      const reply = await registry.request('PUT', target, { body: content.bytes });
      expectStatus(reply, 201);
      expectHeaders(reply, { 'Docker-Content-Digest': content.digest });
      expect(locationOf(reply)).toBe(`/v2/${repository}/blobs/${content.digest}`);
      await expectBlob(repository, content);
    });
  }

  test('in chunked transfer coding', async () => {
    const repository = registry.repository();
    const content = blob(randomBytes(300_000));
    const target = withQuery(await startUpload(registry, repository), `digest=${content.digest}`);
    const body = [0, 1, 2].map((i) => content.bytes.subarray(i * 100_000, (i + 1) * 100_000));
    expectStatus(await registry.request('PUT', target, { body }), 201);
    await expectBlob(repository, content);
  });

  test('whatever Content-Type says', async () => {
    for (const type of [
      'application/octet-stream',
      'application/json',
      'text/plain; charset=utf-8',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'nonsense',
    ]) {
      const repository = registry.repository();
      const content = blob('{"not": "parsed"');
      const target = withQuery(await startUpload(registry, repository), `digest=${content.digest}`);
      const headers = { 'Content-Type': type };
      expectStatus(await registry.request('PUT', target, { headers, body: content.bytes }), 201);
    }
  });

  test('also when the repository has the blob already [client]', async () => {
    const repository = registry.repository();
    const content = blob();
    await pushBlob(registry, repository, content);
    await pushBlob(registry, repository, content);
    await expectBlob(repository, content);
  });
});

describe('blobs that many push at once', () => {
  test('the same one to one repository [client]', async () => {
    const repository = registry.repository();
    const content = blob(randomBytes(200_000));
    await Promise.all(Array.from({ length: 8 }, () => pushBlob(registry, repository, content)));
    await expectBlob(repository, content);
  });

  test('the same one to many repositories [client]', async () => {
    const repositories = Array.from({ length: 8 }, () => registry.repository());
    const content = blob(randomBytes(200_000));
    await Promise.all(repositories.map((repository) => pushBlob(registry, repository, content)));
    for (const repository of repositories) await expectBlob(repository, content);
  });

  test('different ones to one repository [client]', async () => {
    const repository = registry.repository();
    const contents = await Promise.all(Array.from({ length: 16 }, () => pushBlob(registry, repository)));
    for (const content of contents) await expectBlob(repository, content);
  });
});

checkEveryResponse();
