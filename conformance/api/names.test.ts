import { describe, expect, test } from 'vitest';
import { blob, unknownDigest } from '../harness/content.ts';
import { expectError, expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { pushBlob, pushImage } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

/** As long as a name may be (distribution; clients limit host and name to it). */
const longest = 255;

const components = [
  'a',
  '0',
  'a1',
  'a.b',
  'a_b',
  'a__b',
  'a-b',
  'a--b',
  'a---------b',
  'a.b_c__d-e',
  'a/b/c/d/e/f/g/h',
  'docker.com/foo',
  'blobs',
  'manifests',
  'tags',
  'tags/list',
  'list',
  'uploads',
  'blobs/uploads',
  'referrers',
  'manifests/latest',
  'v2',
  'v2/foo',
];

describe('a repository name is taken [OCI "Pulling manifests"]', () => {
  for (const component of components) {
    test(component, async () => {
      const name = registry.repository(component);
      const { manifest, layer } = await pushImage(registry, name, 'latest');
      const byTag = await registry.request('GET', `/v2/${name}/manifests/latest`);
      expectStatus(byTag, 200);
      expect(byTag.body).toEqual(manifest.bytes);
      const layerReply = await registry.request('GET', `/v2/${name}/blobs/${layer.digest}`);
      expect(layerReply.body).toEqual(layer.bytes);
      const tags = await registry.request('GET', `/v2/${name}/tags/list`);
      expect(tags.json()).toEqual({ name, tags: ['latest'] });
    });
  }

  test(`of ${longest} characters`, async () => {
    const prefix = registry.repository();
    const name = `${prefix}/${'n'.repeat(longest - prefix.length - 1)}`;
    expect(name).toHaveLength(longest);
    await pushBlob(registry, name);
  });
});

const invalid: readonly { name: string; sent?: string }[] = [
  { name: 'A' },
  { name: 'a/B/c' },
  { name: 'a..b' },
  { name: 'a._b' },
  { name: 'a___b' },
  { name: 'a_-b' },
  { name: 'a-.b' },
  { name: '-a' },
  { name: 'a-' },
  { name: '_a' },
  { name: 'a_' },
  { name: '.a' },
  { name: 'a.' },
  { name: 'a/-b' },
  { name: 'a/b-/c' },
  { name: 'a+b' },
  { name: 'a~b' },
  { name: 'a@b' },
  { name: 'localhost:5000/a' },
  { name: 'a b', sent: 'a%20b' },
  { name: 'a?b', sent: 'a%3fb' },
  { name: 'a\\b', sent: 'a%5cb' },
  { name: 'a line break', sent: 'a%0ab' },
  { name: 'a zero byte', sent: 'a%00b' },
  { name: 'ä', sent: '%c3%a4' },
  { name: 'no UTF-8', sent: 'a%ffb' },
  { name: `${longest + 1} characters`, sent: 'n'.repeat(longest + 1) },
];

describe('a name that is none is refused [OCI "Error Codes"; distribution]', () => {
  for (const { name, sent = name } of invalid) {
    test(name, async () => {
      const requests = [
        ['POST', `/v2/${sent}/blobs/uploads/`],
        ['GET', `/v2/${sent}/tags/list`],
        ['GET', `/v2/${sent}/manifests/latest`],
        ['GET', `/v2/${sent}/blobs/${unknownDigest()}`],
        ['GET', `/v2/${sent}/referrers/${unknownDigest()}`],
      ] as const;
      for (const [method, target] of requests) {
        const reply = await registry.request(method, target);
        // Not every server finds the route before it looks at the name.
        expectStatus(reply, 400, 404);
        if (reply.status === 400) expectError(reply, 400, 'NAME_INVALID');
      }
    });
  }

  for (const name of ['A', 'a..b', '-a', 'n'.repeat(longest + 1)]) {
    test(`with 400 NAME_INVALID: ${name.slice(0, 20)} [berth]`, async () => {
      expectError(await registry.request('POST', `/v2/${name}/blobs/uploads/`), 400, 'NAME_INVALID');
      expectError(await registry.request('GET', `/v2/${name}/tags/list`), 400, 'NAME_INVALID');
    });
  }
});

const noNames = ['', '/', '//', 'a//b', '/a', 'a/'];

describe('empty segments are no part of a name [OCI "Pulling manifests"]', () => {
  for (const name of noNames) {
    test(JSON.stringify(name), async () => {
      const reply = await registry.request('GET', `/v2/${name}/tags/list`);
      expectStatus(reply, 301, 400, 404);
    });
  }
});

test('the location of a blob carries the name as it was asked for [OCI end-4a]', async () => {
  const name = registry.repository('x.y__z/tags');
  const reply = await registry.request('POST', `/v2/${name}/blobs/uploads/`);
  expectStatus(reply, 202);
  expect(locationOf(reply)).toMatch(new RegExp(`^/v2/${name.replaceAll('.', '\\.')}/blobs/uploads/[^/]+$`));
  expectHeaders(reply, { Location: /^[\x21-\x7e]+$/ });
});

test('two names that differ in a separator are two repositories [OCI "Pulling manifests"]', async () => {
  const base = registry.repository();
  const content = await pushBlob(registry, `${base}/a-b`, blob());
  for (const other of ['a_b', 'a.b', 'a__b', 'a--b', 'ab', 'a/b']) {
    expectStatus(await registry.request('HEAD', `/v2/${base}/${other}/blobs/${content.digest}`), 404);
  }
});

checkEveryResponse();
