import { describe, expect, test } from 'vitest';
import { index } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectError, expectHeaders, expectStatus, nextPage } from './expectations.ts';
import { pushBlob, pushImage, pushManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();

/** In byte order; some are prefixes of others, some differ in case only. */
const tags = ['0.9', '2.0.0', 'A', 'New', '_', 'a', 'a-b', 'a.b', 'a0', 'aa', 'latest', 'new', 'z'];
for (const tag of tags.toReversed()) await pushManifest(registry, repository, index([]), tag);

const list = (query = ''): Promise<Reply> => registry.request('GET', `/v2/${repository}/tags/list${query}`);

function expectPage(reply: Reply, expected: readonly string[], more: boolean): void {
  expectStatus(reply, 200);
  expectHeaders(reply, { 'Content-Type': /^application\/json(;|$)/ });
  expect(reply.json()).toEqual({ name: repository, tags: expected });
  if (!more) {
    expectHeaders(reply, { Link: undefined });
    return;
  }
  const { pathname, searchParams } = new URL(nextPage(reply) ?? '', registry.url);
  expect(pathname).toBe(`/v2/${repository}/tags/list`);
  expect(searchParams.get('last')).toBe(expected.at(-1));
}

const pages: readonly [query: string, expected: readonly string[], more: boolean][] = [
  ['', tags, false],
  ['?n=', tags, false],
  ['?last=', tags, false],
  ['?n=&last=', tags, false],
  ['?n=0', [], false],
  ['?n=1', tags.slice(0, 1), true],
  ['?n=5', tags.slice(0, 5), true],
  ['?n=12', tags.slice(0, 12), true],
  ['?n=13', tags, false],
  ['?n=14', tags, false],
  ['?n=1000', tags, false],
  ['?last=a', tags.slice(6), false],
  ['?last=New', tags.slice(4), false],
  ['?n=3&last=a', ['a-b', 'a.b', 'a0'], true],
  ['?last=a&n=3', ['a-b', 'a.b', 'a0'], true],
  ['?n=3&last=aa', ['latest', 'new', 'z'], false],
  ['?n=3&last=latest', ['new', 'z'], false],
  ['?n=3&last=a.a', ['a.b', 'a0', 'aa'], true],
  ['?last=not-there', ['z'], false],
  ['?last=Not', tags.slice(4), false],
  ['?last=z', [], false],
  ['?n=5&last=z', [], false],
  ['?last=zzz', [], false],
  ['?n=2&last=~', [], false],
  ['?last=%00', tags, false],
  ['?other=1', tags, false],
];

describe('tags in byte order, in pages [OCI end-8; distribution]', () => {
  for (const [query, expected, more] of pages) {
    test(`tags/list${query}`, async () => expectPage(await list(query), expected, more));
  }

  for (const n of [1, 2, 3, 5, 13]) {
    test(`pages of ${n} make the whole, each tag once`, async () => {
      const seen: string[] = [];
      for (let next: string | undefined = `/v2/${repository}/tags/list?n=${n}`; next !== undefined; ) {
        const reply = await registry.request('GET', next);
        const page = (reply.json() as { tags: string[] }).tags;
        expect(page.length).toBeLessThanOrEqual(n);
        seen.push(...page);
        next = nextPage(reply);
      }
      expect(seen).toEqual(tags);
    });
  }

  test('Link leads to the same host (crane refuses another one) [RFC 8288]', async () => {
    const [, target = ''] = /<([^>]*)>/.exec((await list('?n=1')).header('link') ?? '') ?? [];
    expect(new URL(target, registry.url).host).toBe(registry.host);
  });

  test('HEAD has the headers of GET [RFC 9110 §9.3.2]', async () => {
    const get = await list();
    const head = await registry.request('HEAD', `/v2/${repository}/tags/list`);
    expectStatus(head, 200);
    expectHeaders(head, { 'Content-Length': get.header('content-length') });
  });
});

describe('a number that is none is 400 [distribution; zot]', () => {
  for (const n of ['-1', 'foo', '1.5', '0x10', '1e3', ' ', '9'.repeat(40), '٣']) {
    test(`n=${n.slice(0, 20)}`, async () => {
      const reply = await list(`?n=${encodeURIComponent(n)}`);
      // A number beyond every limit may be cut to it.
      if (n.length === 40 && reply.status === 200) return expectPage(reply, tags, false);
      expectError(reply, 400, 'PAGINATION_NUMBER_INVALID', 'UNSUPPORTED');
    });
  }
});

describe('repositories without tags', () => {
  const tagsOf = (name: string) => registry.request('GET', `/v2/${name}/tags/list`);

  test('one that nobody pushed to is 404 NAME_UNKNOWN [OCI end-8]', async () => {
    expectError(await tagsOf(registry.repository()), 404, 'NAME_UNKNOWN');
  });

  test('one above another is not there either [distribution]', async () => {
    const name = registry.repository();
    await pushImage(registry, `${name}/below`, 'x');
    expectError(await tagsOf(name), 404, 'NAME_UNKNOWN');
  });

  test('one with nothing but a blob has an empty list [berth]', async () => {
    const name = registry.repository();
    await pushBlob(registry, name);
    const reply = await tagsOf(name);
    expectStatus(reply, 200);
    expect(reply.json()).toEqual({ name, tags: [] });
  });

  test('one with nothing but a manifest has an empty list [berth]', async () => {
    const name = registry.repository();
    await pushImage(registry, name);
    const reply = await tagsOf(name);
    expectStatus(reply, 200);
    expect(reply.json()).toEqual({ name, tags: [] });
  });

  test('one whose last tag was deleted has an empty list, or is not there [conformance suite]', async () => {
    const name = registry.repository();
    const { manifest } = await pushImage(registry, name, 'only');
    expectStatus(await registry.request('DELETE', `/v2/${name}/manifests/${manifest.digest}`), 202);
    const reply = await tagsOf(name);
    expectStatus(reply, 200, 404);
    if (reply.status === 200) expect(reply.json()).toEqual({ name, tags: [] });
  });
});

test('a tag that was just pushed is listed [OCI "Listing Tags"]', async () => {
  const name = registry.repository();
  const expected: string[] = [];
  for (const tag of ['b', 'a', 'c', 'B']) {
    await pushManifest(registry, name, index([]), tag);
    expected.push(tag);
    const reply = await registry.request('GET', `/v2/${name}/tags/list`);
    expect(reply.json()).toEqual({ name, tags: expected.toSorted() });
  }
});

checkEveryResponse();
