import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type Algorithm, blob, unknownDigest } from '../harness/content.ts';
import { defaultRedirect } from '../harness/storage.ts';
import { expectError, expectHeaders, expectStatus } from './expectations.ts';
import { pushBlob } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

const contents: readonly [name: string, bytes: Buffer, algorithm: Algorithm][] = [
  ['of no bytes', Buffer.alloc(0), 'sha256'],
  ['of no bytes', Buffer.alloc(0), 'sha512'],
  ['of one byte', Buffer.from('x'), 'sha256'],
  ['of 1024 zeros (an empty tar)', Buffer.alloc(1024), 'sha256'],
  ['of text', Buffer.from('{"an": "object"}'), 'sha512'],
  ['of 65,537 bytes', randomBytes(65_537), 'sha256'],
  ['of 5 MiB', randomBytes(5 << 20), 'sha256'],
  ['of 5 MiB', randomBytes(5 << 20), 'sha512'],
];

describe('a blob comes back as it was pushed, by the digest it was pushed with [OCI end-2]', () => {
  for (const [name, bytes, algorithm] of contents) {
    test(`${name}, ${algorithm}`, async () => {
      const repository = registry.repository();
      const content = await pushBlob(registry, repository, blob(bytes, undefined, algorithm));
      const target = `/v2/${repository}/blobs/${content.digest}`;
      const headers = {
        'Content-Length': String(bytes.length),
        'Content-Type': 'application/octet-stream',
        'Docker-Content-Digest': content.digest,
        'Accept-Ranges': 'bytes',
        ETag: `"${content.digest}"`,
      };
      for (const method of ['HEAD', 'GET']) {
        const reply = await registry.request(method, target);
        expectStatus(reply, 200);
        expectHeaders(reply, headers);
        // How long bytes that come from the storage may be kept, is the storage's to say.
        if (method === 'HEAD' || !defaultRedirect) expectHeaders(reply, { 'Cache-Control': /max-age=31536000/ });
        if (method === 'GET') expect(reply.body.equals(bytes)).toBe(true);
      }
    });
  }
});

describe('a blob that is not there is 404 BLOB_UNKNOWN [OCI end-2]', () => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    test(`in no repository, ${algorithm}`, async () => {
      const target = `/v2/${registry.repository()}/blobs/${unknownDigest(algorithm)}`;
      expectError(await registry.request('GET', target), 404, 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
      expectError(await registry.request('HEAD', target), 404);
    });
  }

  test('in this repository, though another one has it [distribution]', async () => {
    const content = await pushBlob(registry, registry.repository());
    const target = `/v2/${registry.repository()}/blobs/${content.digest}`;
    expectError(await registry.request('GET', target), 404, 'BLOB_UNKNOWN', 'NAME_UNKNOWN');
    expectError(await registry.request('HEAD', target), 404);
  });

  test('under the other algorithm’s digest, unless that was asked for by a push', async () => {
    const repository = registry.repository();
    const { bytes } = await pushBlob(registry, repository);
    const reply = await registry.request('HEAD', `/v2/${repository}/blobs/${blob(bytes, undefined, 'sha512').digest}`);
    expectStatus(reply, 200, 404);
  });
});

const malformed: readonly { digest: string; name?: string; statuses?: number[] }[] = [
  { digest: 'sha256:abc' },
  { digest: `sha256:${'a'.repeat(63)}`, name: 'sha256 with 63 digits' },
  { digest: `sha256:${'a'.repeat(65)}`, name: 'sha256 with 65 digits' },
  { digest: `sha256:${'A'.repeat(64)}`, name: 'sha256 with capitals' },
  { digest: `sha256:${'g'.repeat(64)}`, name: 'sha256 without hexadecimal digits' },
  { digest: `sha512:${'a'.repeat(64)}`, name: 'sha512 with 64 digits' },
  { digest: `SHA256:${'a'.repeat(64)}`, name: 'SHA256' },
  { digest: 'sha256:totallywrong' },
  { digest: 'sha256:' },
  { digest: ':' },
  { digest: `:${'a'.repeat(64)}`, name: 'no algorithm' },
  { digest: `sha257:${'a'.repeat(64)}`, name: 'an algorithm that nobody knows', statuses: [400] },
  { digest: 'md5:d41d8cd98f00b204e9800998ecf8427e', name: 'md5', statuses: [400] },
  { digest: `sha256::${'a'.repeat(64)}`, name: 'two colons' },
];

describe('a digest that is none is refused [OCI "Digest"; OCI main end-2]', () => {
  for (const { digest, name = digest, statuses = [400, 404] } of malformed) {
    for (const method of ['GET', 'HEAD', 'DELETE']) {
      test(`${method} ${name}`, async () => {
        const reply = await registry.request(method, `/v2/${registry.repository()}/blobs/${digest}`);
        expectStatus(reply, ...statuses);
        if (reply.status === 400) expectError(reply, 400, 'DIGEST_INVALID');
      });
    }
  }

  for (const digest of ['sha256', 'a'.repeat(64), 'latest']) {
    test(`GET ${digest}, which has no colon`, async () => {
      expectStatus(await registry.request('GET', `/v2/${registry.repository()}/blobs/${digest}`), 400, 404);
    });
  }
});

describe('conditional requests [RFC 9110 §13.1.2; distribution]', async () => {
  const repository = registry.repository();
  const content = await pushBlob(registry, repository);
  const other = unknownDigest();
  const conditions: readonly [value: string, status: number, name?: string][] = [
    [`"${content.digest}"`, 304, 'the entity tag'],
    [content.digest, 304, 'the entity tag without quotes'],
    [`W/"${content.digest}"`, 304, 'the entity tag as a weak one'],
    [`"${other}", "${content.digest}"`, 304, 'a list with it'],
    ['*', 304],
    [`"${other}"`, 200, 'another one'],
    [other, 200, 'another one without quotes'],
    ['', 200, 'nothing'],
    ['"', 200, 'half a quote'],
    ['garbage', 200],
  ];
  for (const [value, status, name = value] of conditions) {
    for (const method of ['GET', 'HEAD']) {
      test(`${method} with If-None-Match: ${name} is ${status}`, async () => {
        const target = `/v2/${repository}/blobs/${content.digest}`;
        const reply = await registry.request(method, target, { headers: { 'If-None-Match': value } });
        expectStatus(reply, status);
        expectHeaders(reply, { ETag: `"${content.digest}"` });
        expect(reply.body).toHaveLength(method === 'GET' && status === 200 ? content.bytes.length : 0);
      });
    }
  }

  test('a condition does not bring back what is not there', async () => {
    for (const value of [`"${other}"`, '*']) {
      const headers = { 'If-None-Match': value };
      expectStatus(await registry.request('GET', `/v2/${repository}/blobs/${other}`, { headers }), 404);
    }
  });
});

describe('blobs are the same in every repository', () => {
  test('the same bytes may be pushed to many [distribution]', async () => {
    const content = blob();
    for (const repository of [registry.repository(), registry.repository()]) {
      await pushBlob(registry, repository, content);
      const reply = await registry.request('GET', `/v2/${repository}/blobs/${content.digest}`);
      expect(reply.body).toEqual(content.bytes);
    }
  });

  test('a mirror’s ns in the query changes nothing [OCI main "Registry Proxying"]', async () => {
    const repository = registry.repository();
    const content = await pushBlob(registry, repository);
    expectStatus(await registry.request('GET', `/v2/${repository}/blobs/${content.digest}?ns=docker.io`), 200);
  });
});

checkEveryResponse();
