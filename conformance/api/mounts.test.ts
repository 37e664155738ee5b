import { describe, expect, test } from 'vitest';
import { blob, type Content, unknownDigest } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { pushBlob, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const source = registry.repository('the/source');
const content = await pushBlob(registry, source);
const content512 = await pushBlob(registry, source, blob(undefined, undefined, 'sha512'));

function mount(repository: string, query: string): Promise<Reply> {
  return registry.request('POST', `/v2/${repository}/blobs/uploads/?${query}`);
}

function expectMounted(reply: Reply, repository: string, { digest }: Content): void {
  expectStatus(reply, 201);
  expectHeaders(reply, { 'Docker-Content-Digest': digest, 'Content-Length': '0' });
  expect(locationOf(reply)).toBe(`/v2/${repository}/blobs/${digest}`);
}

/** A session has been opened instead, and it works. */
async function expectSession(reply: Reply, repository: string): Promise<void> {
  expectStatus(reply, 202);
  expectHeaders(reply, { Range: '0-0', 'Docker-Upload-UUID': /./ });
  const { bytes, digest } = blob();
  const target = withQuery(locationOf(reply), `digest=${digest}`);
  expectStatus(await registry.request('PUT', target, { body: bytes }), 201);
  expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${digest}`), 200);
}

const mountable: readonly { name: string; query: string; what?: Content }[] = [
  { name: 'from and mount', query: `from=${source}&mount=${content.digest}` },
  { name: 'mount and from, colon and slash as they are (containerd)', query: `mount=${content.digest}&from=${source}` },
  {
    name: 'everything percent-encoded',
    query: `mount=${encodeURIComponent(content.digest)}&from=${encodeURIComponent(source)}`,
  },
  { name: 'with an origin (crane)', query: `from=${source}&mount=${content.digest}&origin=registry.example` },
  { name: 'a sha512', query: `mount=${content512.digest}&from=${source}`, what: content512 },
  {
    name: 'with a digest too: the mount comes first',
    query: `mount=${content.digest}&from=${source}&digest=${content.digest}`,
  },
  { name: 'without from, found by itself (regclient)', query: `mount=${content.digest}` },
  { name: 'with an empty from', query: `mount=${content.digest}&from=` },
];

describe('a blob of another repository is mounted [OCI end-11]', () => {
  for (const { name, query, what = content } of mountable) {
    test(name, async () => {
      const repository = registry.repository();
      expectMounted(await mount(repository, query), repository, what);
      const reply = await registry.request('GET', `/v2/${repository}/blobs/${what.digest}`);
      expectStatus(reply, 200);
      expectHeaders(reply, { 'Docker-Content-Digest': what.digest });
      expect(reply.body).toEqual(what.bytes);
    });
  }

  test('again, where it already is', async () => {
    const repository = registry.repository();
    for (let i = 0; i < 2; i++) {
      expectMounted(await mount(repository, `mount=${content.digest}&from=${source}`), repository, content);
    }
  });

  test('from the repository itself', async () => {
    expectMounted(await mount(source, `mount=${content.digest}&from=${source}`), source, content);
  });

  test('with a body that nobody wants', async () => {
    const repository = registry.repository();
    const target = `/v2/${repository}/blobs/uploads/?mount=${content.digest}&from=${source}`;
    expectMounted(await registry.request('POST', target, { body: 'x'.repeat(1000) }), repository, content);
    expectStatus(await registry.request('GET', '/v2/'), 200);
  });

  test('and stays when the other repository deletes it [distribution]', async () => {
    const [from, to] = [registry.repository(), registry.repository()];
    const { digest, bytes } = await pushBlob(registry, from);
    expectStatus(await mount(to, `mount=${digest}&from=${from}`), 201);
    expectStatus(await registry.request('DELETE', `/v2/${from}/blobs/${digest}`), 202);
    expect((await registry.request('GET', `/v2/${to}/blobs/${digest}`)).body).toEqual(bytes);
    expectStatus(await registry.request('HEAD', `/v2/${from}/blobs/${digest}`), 404);
  });
});

const unmountable: readonly { name: string; query: () => string }[] = [
  { name: 'the blob is nowhere', query: () => `mount=${unknownDigest()}&from=${source}` },
  { name: 'the blob is nowhere, and from is not said', query: () => `mount=${unknownDigest()}` },
  { name: 'the repository is not there', query: () => `mount=${content.digest}&from=${registry.repository()}` },
  { name: 'the repository cannot be', query: () => `mount=${content.digest}&from=NO/such..name` },
  { name: 'the repository is a path out', query: () => `mount=${content.digest}&from=../../${source}` },
  { name: 'the digest is none', query: () => `mount=nonsense&from=${source}` },
  { name: 'the digest is empty', query: () => `mount=&from=${source}` },
  { name: 'the algorithm is unknown', query: () => `mount=sha257:${'a'.repeat(64)}&from=${source}` },
];

describe('what cannot be mounted is pushed instead: 202 and never 404 [OCI end-11; containerd]', () => {
  for (const { name, query } of unmountable) {
    test(name, async () => {
      const repository = registry.repository();
      await expectSession(await mount(repository, query()), repository);
    });
  }

  test('the other repository has deleted it', async () => {
    const [from, to] = [registry.repository(), registry.repository()];
    const { digest } = await pushBlob(registry, from);
    expectStatus(await registry.request('DELETE', `/v2/${from}/blobs/${digest}`), 202);
    await expectSession(await mount(to, `mount=${digest}&from=${from}`), to);
    expectStatus(await registry.request('HEAD', `/v2/${to}/blobs/${digest}`), 404);
  });

  test('the session can be cancelled, as docker does then [client]', async () => {
    const repository = registry.repository();
    const reply = await mount(repository, `mount=${unknownDigest()}&from=${source}`);
    expectStatus(await registry.request('DELETE', locationOf(reply)), 204);
  });
});

test('two mounts in one request are refused or taken as one [zot]', async () => {
  const reply = await mount(registry.repository(), `mount=${content.digest}&mount=${unknownDigest()}&from=${source}`);
  expectStatus(reply, 201, 202, 400);
});

checkEveryResponse();
