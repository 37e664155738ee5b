import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { blob, digestOf, unknownDigest } from '../harness/content.ts';
import { expectError, expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { startUpload, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const bytes = randomBytes(1000);
const digest = digestOf(bytes);

/** A session with the first `length` of {@link bytes}. @returns its newest location */
async function sessionWith(length: number, repository = registry.repository()): Promise<string> {
  const location = await startUpload(registry, repository);
  if (length === 0) return location;
  const reply = await registry.request('PATCH', location, { body: bytes.subarray(0, length) });
  expectStatus(reply, 202);
  return locationOf(reply);
}

describe('the status of a session [OCI end-13]', () => {
  const states: readonly [stored: number, range: string][] = [
    [0, '0-0'],
    [1, '0-0'],
    [2, '0-1'],
    [1000, '0-999'],
  ];
  for (const [stored, range] of states) {
    test(`with ${stored} bytes has the range ${range}`, async () => {
      const location = await sessionWith(stored);
      const reply = await registry.request('GET', location);
      expectStatus(reply, 204);
      expectHeaders(reply, { Range: range, 'Docker-Upload-UUID': /./ });
      expect(locationOf(reply)).toMatch(/\/blobs\/uploads\/./);
      expect(reply.body).toHaveLength(0);
    });
  }

  test('is the same session each time', async () => {
    const opened = await registry.request('POST', `/v2/${registry.repository()}/blobs/uploads/`);
    const patched = await registry.request('PATCH', locationOf(opened), { body: 'abc' });
    const status = await registry.request('GET', locationOf(patched));
    const ids = [opened, patched, status].map((reply) => reply.header('docker-upload-uuid'));
    expect(new Set(ids).size).toBe(1);
  });

  test('is to be had at an older location too [conformance suites]', async () => {
    const first = await startUpload(registry, registry.repository());
    const patched = await registry.request('PATCH', first, { body: 'abc' });
    expectStatus(patched, 202);
    expectHeaders(await registry.request('GET', first), { Range: '0-2' });
  });

  test('is to be had with the digest still in the query [conformance suite of OCI main]', async () => {
    const location = await sessionWith(10);
    const reply = await registry.request('GET', withQuery(location, `digest=${digest}`));
    expectStatus(reply, 204);
    expectHeaders(reply, { Range: '0-9' });
  });
});

describe('PATCH adds to a session [OCI end-5]', () => {
  test('what comes with a length', async () => {
    const reply = await registry.request('PATCH', await sessionWith(0), { body: bytes.subarray(0, 700) });
    expectStatus(reply, 202);
    expectHeaders(reply, { Range: '0-699', 'Docker-Upload-UUID': /./, 'Content-Length': '0' });
  });

  test('what comes in chunked transfer coding, as docker pushes', async () => {
    const body = [bytes.subarray(0, 100), bytes.subarray(100, 333)];
    const reply = await registry.request('PATCH', await sessionWith(0), { body });
    expectStatus(reply, 202);
    expectHeaders(reply, { Range: '0-332' });
  });

  test('several times, to be ended by PUT without a body', async () => {
    const repository = registry.repository();
    let location = await startUpload(registry, repository);
    for (let start = 0; start < 1000; start += 250) {
      const reply = await registry.request('PATCH', location, { body: bytes.subarray(start, start + 250) });
      expectStatus(reply, 202);
      expectHeaders(reply, { Range: `0-${start + 249}` });
      location = locationOf(reply);
    }
    const reply = await registry.request('PUT', withQuery(location, `digest=${digest}`));
    expectStatus(reply, 201);
    const got = await registry.request('GET', `/v2/${repository}/blobs/${digest}`);
    expect(got.body).toEqual(bytes);
  });

  test('to be ended by PUT with the rest', async () => {
    const location = await sessionWith(600);
    const target = withQuery(location, `digest=${digest}`);
    expectStatus(await registry.request('PUT', target, { body: bytes.subarray(600) }), 201);
  });

  test('at an older location as well as at the newest [berth]', async () => {
    const first = await startUpload(registry, registry.repository());
    expectStatus(await registry.request('PATCH', first, { body: bytes.subarray(0, 500) }), 202);
    expectStatus(await registry.request('PATCH', first, { body: bytes.subarray(500) }), 202);
    expectStatus(await registry.request('PUT', withQuery(first, `digest=${digest}`)), 201);
  });

  test('nothing, when there is nothing', async () => {
    const reply = await registry.request('PATCH', await sessionWith(5));
    expectStatus(reply, 202);
    expectHeaders(reply, { Range: '0-4' });
  });

  test('whatever Content-Type says [berth]', async () => {
    let location = await startUpload(registry, registry.repository());
    for (const type of ['application/octet-stream', 'application/json', 'text/plain; charset=utf-8']) {
      const reply = await registry.request('PATCH', location, { headers: { 'Content-Type': type }, body: 'abc' });
      expectStatus(reply, 202);
      location = locationOf(reply);
    }
  });

  test('with a sha512 that was announced [OCI main end-4c]', async () => {
    const repository = registry.repository();
    const content = blob(bytes, undefined, 'sha512');
    const opened = await registry.request('POST', `/v2/${repository}/blobs/uploads/?digest-algorithm=sha512`);
    const patched = await registry.request('PATCH', locationOf(opened), { body: bytes });
    const target = withQuery(locationOf(patched), `digest=${content.digest}`);
    expectHeaders(await registry.request('PUT', target), { 'Docker-Content-Digest': content.digest });
    const got = await registry.request('GET', `/v2/${repository}/blobs/${content.digest}`);
    expect(got.body).toEqual(bytes);
  });

  test('with a sha512 that was not announced [conformance suite of OCI main]', async () => {
    const repository = registry.repository();
    const content = blob(bytes, undefined, 'sha512');
    const target = withQuery(await sessionWith(1000, repository), `digest=${content.digest}`);
    expectHeaders(await registry.request('PUT', target), { 'Docker-Content-Digest': content.digest });
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${content.digest}`), 200);
  });
});

describe('a session that cannot be ended so', () => {
  for (const query of [
    'digest=',
    'digest=nonsense',
    'digest=sha256:abc',
    `digest=sha257:${'a'.repeat(64)}`,
    'other=1',
  ]) {
    test(`stays for another try: ${query.slice(0, 20)} [OCI end-6; distribution]`, async () => {
      const location = await sessionWith(1000);
      expectError(await registry.request('PUT', withQuery(location, query)), 400, 'DIGEST_INVALID');
      expectStatus(await registry.request('PUT', withQuery(location, `digest=${digest}`)), 201);
    });
  }

  test('is not to be had under the digest of other bytes [OCI end-6]', async () => {
    const repository = registry.repository();
    const other = unknownDigest();
    const location = await sessionWith(1000, repository);
    const reply = await registry.request('PUT', withQuery(location, `digest=${other}`));
    expectError(reply, 400, 'DIGEST_INVALID');
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${other}`), 404);
    expectStatus(await registry.request('HEAD', `/v2/${repository}/blobs/${digest}`), 404);
  });

  test('with nothing in it and a digest of something [distribution]', async () => {
    const location = await sessionWith(0);
    const reply = await registry.request('PUT', withQuery(location, `digest=${digest}`));
    expectError(reply, 400, 'DIGEST_INVALID');
  });
});

describe('the end of a session', () => {
  const methods = ['GET', 'PATCH', 'PUT', 'DELETE'] as const;
  const call = (method: string, location: string) =>
    registry.request(method, method === 'PUT' ? withQuery(location, `digest=${digest}`) : location, {
      ...(method === 'PATCH' && { body: 'abc' }),
    });

  test('cancelled is 204 [OCI main end-14]', async () => {
    const reply = await registry.request('DELETE', await sessionWith(10));
    expectStatus(reply, 204);
    expect(reply.body).toHaveLength(0);
  });

  for (const method of methods) {
    test(`${method} after it was cancelled is 404 [OCI main end-14]`, async () => {
      const location = await sessionWith(10);
      expectStatus(await registry.request('DELETE', location), 204);
      expectError(await call(method, location), 404, 'BLOB_UPLOAD_UNKNOWN');
    });

    test(`${method} after it was ended is 404 [distribution]`, async () => {
      const location = await sessionWith(1000);
      expectStatus(await registry.request('PUT', withQuery(location, `digest=${digest}`)), 201);
      expectError(await call(method, location), 404, 'BLOB_UPLOAD_UNKNOWN');
    });

    test(`${method} by the name of another repository is 404, and the session stays [distribution]`, async () => {
      const repository = registry.repository();
      const location = await sessionWith(10, repository);
      const foreign = location.replace(`/v2/${repository}/`, `/v2/${registry.repository()}/`);
      expectError(await call(method, foreign), 404, 'BLOB_UPLOAD_UNKNOWN');
      expectHeaders(await registry.request('GET', location), { Range: '0-9' });
    });
  }
});

checkEveryResponse();
