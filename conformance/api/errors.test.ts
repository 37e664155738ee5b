import { describe, expect, test } from 'vitest';
import { blob, descriptor, image, index, mediaTypes, unknownDigest } from '../harness/content.ts';
import type { RequestOptions } from '../harness/http-client.ts';
import { errorsOf, expectError, expectHeaders, expectStatus } from './expectations.ts';
import { pushImage, startUpload, withQuery } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();
await pushImage(registry, repository, 'latest');
const base = `/v2/${repository}`;
const nowhere = `/v2/${registry.repository()}`;
const session = await startUpload(registry, repository);
const typed = (body: string, type: string = mediaTypes.image): RequestOptions => ({
  headers: { 'Content-Type': type },
  body,
});

interface Row {
  code: string;
  status: number;
  method: string;
  target: string;
  options?: RequestOptions;
}

const digest = unknownDigest();
const rows: readonly Row[] = [
  { code: 'BLOB_UNKNOWN', status: 404, method: 'GET', target: `${base}/blobs/${digest}` },
  { code: 'BLOB_UNKNOWN', status: 404, method: 'DELETE', target: `${base}/blobs/${digest}` },
  {
    code: 'BLOB_UPLOAD_UNKNOWN',
    status: 404,
    method: 'GET',
    target: `${base}/blobs/uploads/0e1f3f0a-3c1b-4a2c-9d0e-0123456789ab`,
  },
  { code: 'DIGEST_INVALID', status: 400, method: 'GET', target: `${base}/blobs/sha256:abc` },
  { code: 'DIGEST_INVALID', status: 400, method: 'GET', target: `${base}/manifests/sha256:abc` },
  { code: 'DIGEST_INVALID', status: 400, method: 'GET', target: `${base}/referrers/sha256:abc` },
  { code: 'DIGEST_INVALID', status: 400, method: 'DELETE', target: `${base}/manifests/sha256:abc` },
  { code: 'DIGEST_INVALID', status: 400, method: 'PUT', target: withQuery(session, 'digest=sha256:abc') },
  {
    code: 'DIGEST_INVALID',
    status: 400,
    method: 'PUT',
    target: `${base}/manifests/${digest}`,
    options: typed(index([]).bytes.toString(), mediaTypes.index),
  },
  {
    code: 'MANIFEST_BLOB_UNKNOWN',
    status: 400,
    method: 'PUT',
    target: `${base}/manifests/x`,
    options: typed(image(descriptor(blob()), []).bytes.toString()),
  },
  { code: 'MANIFEST_INVALID', status: 400, method: 'PUT', target: `${base}/manifests/x`, options: typed('blablabla') },
  { code: 'MANIFEST_UNKNOWN', status: 404, method: 'GET', target: `${base}/manifests/missing` },
  { code: 'MANIFEST_UNKNOWN', status: 404, method: 'GET', target: `${base}/manifests/${digest}` },
  { code: 'MANIFEST_UNKNOWN', status: 404, method: 'DELETE', target: `${base}/manifests/missing` },
  { code: 'NAME_INVALID', status: 400, method: 'GET', target: '/v2/NO/tags/list' },
  { code: 'NAME_INVALID', status: 400, method: 'POST', target: '/v2/NO/blobs/uploads/' },
  {
    code: 'NAME_INVALID',
    status: 400,
    method: 'PUT',
    target: '/v2/NO/manifests/latest',
    options: typed(index([]).bytes.toString(), mediaTypes.index),
  },
  { code: 'NAME_UNKNOWN', status: 404, method: 'GET', target: `${nowhere}/tags/list` },
  {
    code: 'SIZE_INVALID',
    status: 400,
    method: 'PATCH',
    target: session,
    options: { headers: { 'Content-Range': '0-9' }, body: 'abc' },
  },
  { code: 'UNSUPPORTED', status: 405, method: 'PUT', target: `${base}/tags/list` },
  { code: 'PAGINATION_NUMBER_INVALID', status: 400, method: 'GET', target: `${base}/tags/list?n=x` },
]; // prettier-ignore

const short = (target: string) =>
  target
    .replace(base, '…')
    .replace(nowhere, '…')
    .replace(/[0-9a-f]{64}/, '<hex>')
    .slice(0, 70);

describe('each fault has its code [OCI "Error Codes"; distribution]', () => {
  for (const { code, status, method, target, options } of rows) {
    test(`${code}: ${method} ${short(target)}`, async () => {
      // A number that is none has no code of OCI’s own.
      const codes = code === 'PAGINATION_NUMBER_INVALID' ? [code, 'UNSUPPORTED'] : [code];
      expectError(await registry.request(method, target, options), status, ...codes);
    });
  }
});

describe('HEAD has the status and the headers of GET, and no body [RFC 9110 §9.3.2]', () => {
  for (const { target, code } of rows.filter(({ method }) => method === 'GET')) {
    test(`${code}: ${short(target)}`, async () => {
      const get = await registry.request('GET', target);
      const head = await registry.request('HEAD', target);
      expectStatus(head, get.status);
      expect(head.body).toHaveLength(0);
      for (const name of ['content-type', 'content-length']) expectHeaders(head, { [name]: get.header(name) });
    });
  }
});

describe('what an error says', () => {
  test('the digest that is at fault [OCI "Error Codes"]', async () => {
    const { bytes } = blob();
    const target = withQuery(await startUpload(registry, repository), `digest=${digest}`);
    const [error] = errorsOf(await registry.request('PUT', target, { body: bytes }));
    expect(JSON.stringify(error?.detail)).toContain(digest);
  });

  test('a sentence for people', async () => {
    for (const { method, target, options } of rows) {
      for (const { message } of errorsOf(await registry.request(method, target, options))) {
        expect(message, target).toMatch(/^\w.{5,}$/);
      }
    }
  });

  test('nothing of the inside of the server', async () => {
    const targets = rows.map(({ target }) => target);
    for (const target of [
      ...targets,
      `${base}/manifests/..%2f..`,
      '/v2/localhost:5000/a/tags/list',
      `/v2/${'a/'.repeat(300)}tags/list`,
    ]) {
      const { text } = await registry.request('GET', target);
      expect(text, target).not.toMatch(/\/docker\/registry|\/tmp\/|node:|\bat .*:\d+:\d+|filesystem/);
    }
  });

  test('nothing that a browser could run', async () => {
    const reply = await registry.request('GET', '/v2/%3Cscript%3Ealert(1)%3C%2Fscript%3E/tags/list');
    expectStatus(reply, 400, 404);
    expectHeaders(reply, { 'Content-Type': /^(application\/json|text\/plain)/ });
  });
});

checkEveryResponse();
