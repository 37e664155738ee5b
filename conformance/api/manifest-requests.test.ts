import { describe, expect, test } from 'vitest';
import { type Content, image, index, mediaTypes, unknownDigest } from '../harness/content.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { expectHeaders, expectStatus } from './expectations.ts';
import { pushImage, pushManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();
const { manifest: first } = await pushImage(registry, repository, 'image');
const second = await pushManifest(registry, repository, index([], { annotations: { a: 'b' } }), 'index');

const accepts: readonly [name: string, accept: string | string[] | undefined][] = [
  ['nothing', undefined],
  ['anything', '*/*'],
  ['any application type', 'application/*'],
  ['only html', 'text/html'],
  ['only docker images', mediaTypes.dockerImage],
  ['only docker images of the first schema', 'application/vnd.docker.distribution.manifest.v1+prettyjws'],
  ['OCI types with weights', `${mediaTypes.index};q=0.5, ${mediaTypes.image};q=0.9, */*;q=0.1`],
  ['many lines', [mediaTypes.dockerList, mediaTypes.image, mediaTypes.index, '*/*']],
  ['nonsense', ';;;,,,q=nan'],
  ['the empty list', ''],
  ['a weight of nought', `${mediaTypes.image};q=0`],
];

describe('what was pushed is what is sent, whatever Accept says [berth; zot]', () => {
  for (const [name, accept] of accepts) {
    test(name, async () => {
      const client = createHttpClient(registry.url);
      for (const [tag, content] of [
        ['image', first],
        ['index', second],
      ] as [string, Content][]) {
        const target = `/v2/${repository}/manifests/${tag}`;
        const reply = await client.request('GET', target, accept === undefined ? {} : { headers: { Accept: accept } });
        expectStatus(reply, 200);
        expectHeaders(reply, { 'Content-Type': content.mediaType });
        expect(reply.body).toEqual(content.bytes);
      }
      client.close();
    });
  }
});

const other = unknownDigest();
const conditions: readonly [name: string, value: string, status: number][] = [
  ['the entity tag', `"${first.digest}"`, 304],
  ['the entity tag without quotes', first.digest, 304],
  ['the entity tag as a weak one', `W/"${first.digest}"`, 304],
  ['a list with it', `"${other}", "${first.digest}"`, 304],
  ['anything', '*', 304],
  ['another one', `"${other}"`, 200],
  ['another manifest’s', `"${second.digest}"`, 200],
  ['nothing', '', 200],
];

describe('conditional requests [RFC 9110 §13.1.2; distribution]', () => {
  for (const [name, value, status] of conditions) {
    for (const reference of ['image', first.digest]) {
      test(`If-None-Match with ${name}, by ${reference === 'image' ? 'tag' : 'digest'}, is ${status}`, async () => {
        for (const method of ['GET', 'HEAD']) {
          const target = `/v2/${repository}/manifests/${reference}`;
          const reply = await registry.request(method, target, { headers: { 'If-None-Match': value } });
          expectStatus(reply, status);
          expectHeaders(reply, { ETag: `"${first.digest}"` });
          if (status === 304) expect(reply.body).toHaveLength(0);
        }
      });
    }
  }

  test('a tag that has moved is sent anew', async () => {
    const old = await pushManifest(registry, repository, index([], { annotations: { n: '1' } }), 'moves');
    const headers = { 'If-None-Match': `"${old.digest}"` };
    expectStatus(await registry.request('GET', `/v2/${repository}/manifests/moves`, { headers }), 304);
    const moved = await pushManifest(registry, repository, index([], { annotations: { n: '2' } }), 'moves');
    const reply = await registry.request('GET', `/v2/${repository}/manifests/moves`, { headers });
    expectStatus(reply, 200);
    expect(reply.body).toEqual(moved.bytes);
  });

  test('a condition does not bring back what is not there', async () => {
    for (const value of ['*', `"${other}"`]) {
      const headers = { 'If-None-Match': value };
      expectStatus(await registry.request('GET', `/v2/${repository}/manifests/${other}`, { headers }), 404);
    }
  });
});

describe('caches between', () => {
  test('are not told to keep a tag [RFC 9111 §5.2.2]', async () => {
    for (const method of ['GET', 'HEAD']) {
      const reply = await registry.request(method, `/v2/${repository}/manifests/image`);
      const [, age = '0'] = /max-age=(\d+)/.exec(reply.header('cache-control') ?? '') ?? [];
      expect(Number(age)).toBe(0);
    }
  });

  test('are not told to keep that something is missing', async () => {
    const reply = await registry.request('GET', `/v2/${repository}/manifests/missing`);
    expect(reply.header('cache-control') ?? '').not.toMatch(/max-age=[1-9]/);
  });
});

test('a mirror’s ns in the query changes nothing [OCI main "Registry Proxying"]', async () => {
  for (const query of ['?ns=docker.io', '?ns=registry.example:5000&x=']) {
    const reply = await registry.request('GET', `/v2/${repository}/manifests/image${query}`);
    expect(reply.body).toEqual(first.bytes);
  }
});

test('two tags of one manifest are one manifest', async () => {
  const content = image({ ...JSON.parse(first.bytes.toString()).config }, [], { annotations: { x: 'y' } });
  for (const tag of ['one', 'two']) await pushManifest(registry, repository, content, tag);
  for (const tag of ['one', 'two', content.digest]) {
    const reply = await registry.request('HEAD', `/v2/${repository}/manifests/${tag}`);
    expectHeaders(reply, { 'Docker-Content-Digest': content.digest });
  }
});

checkEveryResponse();
