import { randomUUID } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { unknownDigest } from '../harness/content.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { expectError, expectStatus } from './expectations.ts';
import { pushImage, startUpload, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

describe('what could be read in two ways is read from the right [distribution]', () => {
  test('…/manifests/manifests/tags is the manifest "tags" of a repository that ends in manifests', async () => {
    const name = registry.repository('bar/manifests');
    const { manifest } = await pushImage(registry, name, 'tags');
    const reply = await registry.request('GET', `/v2/${name}/manifests/tags`);
    expect(reply.body).toEqual(manifest.bytes);
  });

  test('…/manifests/tags/list is the tag list of a repository that ends in manifests', async () => {
    const name = registry.repository('bar/manifests');
    await pushImage(registry, name, 'x');
    const reply = await registry.request('GET', `/v2/${name}/tags/list`);
    expect(reply.json()).toEqual({ name, tags: ['x'] });
  });

  test('a tag may be called list, tags, uploads, latest or manifests', async () => {
    const name = registry.repository();
    for (const tag of ['list', 'tags', 'uploads', 'latest', 'manifests']) {
      const { manifest } = await pushImage(registry, name, tag);
      expect((await registry.request('GET', `/v2/${name}/manifests/${tag}`)).body).toEqual(manifest.bytes);
    }
  });

  test('referrers are found in repositories that end in the name of a route', async () => {
    for (const path of ['referrers', 'tags', 'manifests', 'blobs', 'blobs/uploads']) {
      const target = `/v2/${registry.repository(path)}/referrers/${unknownDigest()}`;
      expectStatus(await registry.request('GET', target), 200);
    }
  });

  test('a session of a repository that ends in blobs/uploads works to its end', async () => {
    const name = registry.repository('blobs/uploads');
    const location = await startUpload(registry, name);
    expectStatus(await registry.request('GET', location), 204);
    expectStatus(await registry.request('PATCH', location, { body: 'abc' }), 202);
    expectStatus(await registry.request('DELETE', location), 204);
  });
});

describe('percent-encoding is undone before anything is compared [RFC 3986 §2.3]', () => {
  const encode = (text: string) =>
    [...text].map((c) => (/[a-z0-9]/.test(c) ? c : `%${c.charCodeAt(0).toString(16)}`)).join('');

  test('the colon of a digest in a path, in either case', async () => {
    const name = registry.repository();
    const { manifest, layer } = await pushImage(registry, name);
    for (const colon of ['%3A', '%3a']) {
      const encoded = (digest: string) => digest.replace(':', colon);
      expectStatus(await registry.request('GET', `/v2/${name}/manifests/${encoded(manifest.digest)}`), 200);
      expectStatus(await registry.request('HEAD', `/v2/${name}/blobs/${encoded(layer.digest)}`), 200);
      expectStatus(await registry.request('GET', `/v2/${name}/referrers/${encoded(manifest.digest)}`), 200);
    }
  });

  test('every character of name and tag', async () => {
    const name = registry.repository('a-b.c');
    await pushImage(registry, name, 'v1.0-x_y');
    expectStatus(await registry.request('GET', `/v2/${encode(name)}/manifests/${encode('v1.0-x_y')}`), 200);
    expectStatus(await registry.request('GET', `/v2/${encode(name)}/tags/list`), 200);
  });

  test('letters that need none', async () => {
    const name = registry.repository();
    await pushImage(registry, name, 'abc');
    expectStatus(await registry.request('GET', `/v2/${name}/manifests/%61%62%63`), 200);
  });

  test('the colon of a digest in a query', async () => {
    const name = registry.repository();
    const location = await startUpload(registry, name);
    const { layer } = await pushImage(registry, registry.repository());
    const target = withQuery(location, `digest=${layer.digest.replace(':', '%3A')}`);
    expectStatus(await registry.request('PUT', target, { body: layer.bytes }), 201);
  });
});

const broken = [
  '/v2/%',
  '/v2/%/tags/list',
  '/v2/%zz/tags/list',
  '/v2/any/manifests/%',
  '/v2/any/manifests/%e0%a4%a',
  '/v2/any/manifests/%ff%fe',
  '/v2/any/manifests/a%00b',
  '/v2/any/manifests/a%0d%0aX-Injected:%201',
  '/v2/any/blobs/sha256%3',
  '/v2/any/blobs/%zz',
  '/v2/any/blobs/uploads/%',
  '/v2/any/referrers/%c3%28',
];

describe('an encoding that is broken is the client’s fault [RFC 3986 §2.1]', () => {
  for (const target of broken) {
    test(`GET ${target}`, async () => expectStatus(await registry.request('GET', target), 400, 404));
  }

  const queries = [
    '/v2/_catalog?last=%',
    '/v2/_catalog?n=%zz',
    '/v2/any/tags/list?last=%ff',
    '/v2/any/tags/list?n=%00',
    '/v2/?%=%',
  ];
  for (const target of queries) {
    test(`GET ${target}`, async () => expectStatus(await registry.request('GET', target), 200, 400, 404));
  }

  for (const query of ['digest=%zz', 'digest=%', 'mount=%&from=%', 'digest-algorithm=%']) {
    test(`POST …/blobs/uploads/?${query}`, async () => {
      const reply = await registry.request('POST', `/v2/${registry.repository()}/blobs/uploads/?${query}`);
      expectStatus(reply, 202, 400);
    });
  }
});

const traversals = [
  '/v2/../v2/any/tags/list',
  '/v2/any/../../../../etc/passwd/tags/list',
  '/v2/../../../../etc/passwd',
  '/v2/any/../other/tags/list',
  '/v2/any/./tags/list',
  '/v2/%2e%2e/%2e%2e/etc/tags/list',
  '/v2/..%2f..%2fetc/manifests/latest',
  '/v2/any/manifests/..',
  '/v2/any/manifests/%2e%2e',
  '/v2/any/manifests/..%2f..%2flatest',
  '/v2/any/blobs/sha256:..%2f..%2f..%2fdata',
  '/v2/any/blobs/uploads/..%2f..%2f_manifests',
  '/v2/any/blobs/uploads/%2e%2e',
  '/v2/any/referrers/sha256:..%2f..',
];

describe('no path leads out of its repository [distribution cleans it or does not find it]', () => {
  for (const target of traversals) {
    test(target, async () => {
      const reply = await registry.request('GET', target);
      expectStatus(reply, 301, 307, 308, 400, 404, 405);
      expect(reply.text).not.toMatch(/root:|\/docker\/registry\/v2/);
    });
  }
});

const noSessions = ['a$b', 'a+b', 'a%20b', 'AAAA==', 'a_b-c=.d', randomUUID(), 'x'.repeat(1000)];

describe('an upload id that no session has is 404 [OCI end-13; distribution]', () => {
  for (const id of noSessions) {
    test(id.slice(0, 40), async () => {
      const target = `/v2/${registry.repository()}/blobs/uploads/${id}`;
      for (const method of ['GET', 'PATCH', 'DELETE']) expectStatus(await registry.request(method, target), 404);
      expectStatus(await registry.request('PUT', `${target}?digest=${unknownDigest()}`), 404);
    });
  }
});

test('a well-formed upload id that no session has is BLOB_UPLOAD_UNKNOWN [OCI "Error Codes"]', async () => {
  const reply = await registry.request('GET', `/v2/${registry.repository()}/blobs/uploads/${randomUUID()}`);
  expectError(reply, 404, 'BLOB_UPLOAD_UNKNOWN');
});

test('POST …/blobs/uploads without the last slash opens a session too [client]', async () => {
  const reply = await registry.request('POST', `/v2/${registry.repository()}/blobs/uploads`);
  expectStatus(reply, 202);
});

const any = `/v2/any`;
const digest = unknownDigest();
const notAllowed: readonly [method: string, target: string][] = [
  ['POST', `${any}/manifests/latest`],
  ['PATCH', `${any}/manifests/latest`],
  ['POST', `${any}/manifests/${digest}`],
  ['PUT', `${any}/blobs/${digest}`],
  ['POST', `${any}/blobs/${digest}`],
  ['PATCH', `${any}/blobs/${digest}`],
  ['POST', `${any}/tags/list`],
  ['PUT', `${any}/tags/list`],
  ['DELETE', `${any}/tags/list`],
  ['POST', `${any}/referrers/${digest}`],
  ['DELETE', `${any}/referrers/${digest}`],
  ['POST', '/v2/_catalog'],
  ['DELETE', '/v2/_catalog'],
];

describe('a method that a route does not have is 405 with the ones it has [RFC 9110 §15.5.6; distribution]', () => {
  for (const [method, target] of notAllowed) {
    test(`${method} ${target.replace(digest, '<digest>')}`, async () => {
      const reply = await registry.request(method, target);
      expectStatus(reply, 405);
      expect(reply.header('allow')?.split(/, ?/)).not.toContain(method);
    });
  }

  for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
    test(`${method} …/blobs/uploads/, or 404 as for a session without id`, async () => {
      expectError(
        await registry.request(method, `${any}/blobs/uploads/`),
        [404, 405],
        'UNSUPPORTED',
        'BLOB_UPLOAD_UNKNOWN',
      );
    });
  }

  test('a method that HTTP does not know', async () => {
    expectStatus(await registry.request('PROPFIND', `${any}/tags/list`), 400, 405, 501);
  });
});

describe('a very long target is refused in order', () => {
  const cases = [
    ['path', `/v2/${'a/'.repeat(4000)}tags/list`],
    ['one segment', `/v2/${'a'.repeat(8000)}/tags/list`],
    ['tag', `/v2/any/manifests/${'a'.repeat(8000)}`],
    ['digest', `/v2/any/blobs/sha256:${'a'.repeat(8000)}`],
    ['upload id', `/v2/any/blobs/uploads/${'a'.repeat(8000)}`],
  ] as const;
  for (const [name, target] of cases) {
    test(`${name} [RFC 9110 §15.5.15]`, async () => {
      expectStatus(await registry.request('GET', target), 400, 404, 414);
    });
  }

  test('query: ignored or refused, and the next request is answered [RFC 9110 §15.5.15]', async () => {
    const client = createHttpClient(registry.url, { maxConnections: 1 });
    const reply = await client.request('GET', `/v2/?x=${'a'.repeat(100_000)}`);
    expectStatus(reply, 200, 400, 414, 431);
    expectStatus(await client.request('GET', '/v2/'), 200);
    client.close();
  });
});

checkEveryResponse();
