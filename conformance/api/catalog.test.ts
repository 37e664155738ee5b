import { describe, expect, test } from 'vitest';
import type { Reply } from '../harness/http-client.ts';
import { registryIsGiven } from '../harness/under-test.ts';
import { expectError, expectHeaders, expectStatus, nextPage } from './expectations.ts';
import { pushImage, startUpload } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

const list = (query = ''): Promise<Reply> => registry.request('GET', `/v2/_catalog${query}`);
const namesOf = (reply: Reply) => (reply.json() as { repositories: string[] }).repositories;

/** Asked for before anything is pushed. */
const empty = await list();

test.skipIf(registryIsGiven)('a registry without content has an empty catalogue [distribution]', () => {
  expectStatus(empty, 200);
  expectHeaders(empty, { 'Content-Type': /^application\/json(;|$)/, Link: undefined });
  expect(empty.json()).toEqual({ repositories: [] });
});

/** In the byte order of the whole name, which is not the order of a walk through folders. */
const below = ['a', 'a-b', 'a-b/c', 'a.b', 'a/b', 'a/b-c', 'a/b/c', 'a/b/c/d/e', 'a0', 'aa', 'ab', 'b', 'b/a', 'z'];

describe('the catalogue of what was pushed [distribution]', async () => {
  const root = registry.repository();
  const names = below.map((name) => `${root}/${name}`);
  for (const name of names.toReversed()) await pushImage(registry, name, 'latest');
  /** A given registry may have other repositories behind ours. */
  const ours = (all: readonly string[]) => all.filter((name) => name.startsWith(`${root}/`));
  const last = (name: string) => `last=${encodeURIComponent(`${root}/${name}`)}`;

  test('has every name once and in byte order', async () => {
    expect(ours(namesOf(await list(`?last=${root}&n=1000`)))).toEqual(names);
  });

  for (const n of [1, 2, 5, 7]) {
    test(`in pages of ${n}, following Link`, async () => {
      const seen: string[] = [];
      for (let next: string | undefined = `/v2/_catalog?n=${n}&last=${root}`; next !== undefined; ) {
        const reply = await registry.request('GET', next);
        expectStatus(reply, 200);
        const page = namesOf(reply);
        expect(page.length).toBeLessThanOrEqual(n);
        seen.push(...ours(page));
        next = ours(page).length < page.length ? undefined : nextPage(reply);
      }
      expect(seen).toEqual(names);
    });
  }

  const pages: readonly [query: string, expected: readonly string[]][] = [
    [`?n=3&${last('a')}`, ['a-b', 'a-b/c', 'a.b']],
    [`?n=3&${last('a-b')}`, ['a-b/c', 'a.b', 'a/b']],
    [`?n=2&${last('a.b')}`, ['a/b', 'a/b-c']],
    [`?n=2&${last('a/b')}`, ['a/b-c', 'a/b/c']],
    [`?n=2&${last('a/b/c')}`, ['a/b/c/d/e', 'a0']],
    [`?n=2&${last('a/b/d')}`, ['a0', 'aa']],
    [`?n=2&${last('a/zzz')}`, ['a0', 'aa']],
    [`?n=2&${last('a_')}`, ['aa', 'ab']],
    [`?n=1&${last('b')}`, ['b/a']],
    [`?n=1&last=${root}/`, ['a']],
    [`?n=4&last=${encodeURIComponent(root)}`, ['a', 'a-b', 'a-b/c', 'a.b']],
  ];
  for (const [query, expected] of pages) {
    test(`_catalog${query.replace(encodeURIComponent(`${root}/`), '').replace(root, '')}`, async () => {
      const reply = await list(query);
      expectStatus(reply, 200);
      expect(namesOf(reply)).toEqual(expected.map((name) => `${root}/${name}`));
      const { pathname, searchParams } = new URL(nextPage(reply) ?? '', registry.url);
      expect(pathname).toBe('/v2/_catalog');
      expect(searchParams.get('last')).toBe(`${root}/${expected.at(-1)}`);
    });
  }

  test('a page that ends the list has no Link', async () => {
    const { length } = namesOf(await list(`?n=1000&${last('b/a')}`));
    const reply = await list(`?n=${length}&${last('b/a')}`);
    expect(namesOf(reply)).toHaveLength(length);
    expectHeaders(reply, { Link: undefined });
  });

  test('HEAD has the headers of GET [RFC 9110 §9.3.2]', async () => {
    const head = await registry.request('HEAD', `/v2/_catalog?n=2&${last('a')}`);
    expectStatus(head, 200);
    expectHeaders(head, { 'Content-Length': (await list(`?n=2&${last('a')}`)).header('content-length') });
  });

  test('a name that was just pushed is in it', async () => {
    await pushImage(registry, `${root}/a1`, 'x');
    expect(namesOf(await list(`?n=1&${last('a0')}`))).toEqual([`${root}/a1`]);
  });

  test('a session alone makes no repository [distribution 3]', async () => {
    await startUpload(registry, `${root}/only-a-session`);
    expect(namesOf(await list(`?n=1000&${last('b')}`))).not.toContain(`${root}/only-a-session`);
  });
});

describe('the query', () => {
  test('n=0 is an empty page [distribution 3]', async () => {
    const reply = await list('?n=0');
    expectStatus(reply, 200);
    expect(reply.json()).toEqual({ repositories: [] });
    expectHeaders(reply, { Link: undefined });
  });

  for (const query of ['?n=', '?last=', '?n=&last=', '?other=1']) {
    test(`${query} is as none [distribution]`, async () => {
      const reply = await list(query);
      expectStatus(reply, 200);
      expect(namesOf(reply)).toEqual(namesOf(await list()));
    });
  }

  for (const n of ['-1', 'foo', '1.5', '0x1', '1e1']) {
    test(`n=${n} is 400 [distribution 3]`, async () => {
      expectError(await list(`?n=${n}`), 400, 'PAGINATION_NUMBER_INVALID', 'UNSUPPORTED');
    });
  }

  test('n=1000 is what crane asks for [client]', async () => expectStatus(await list('?n=1000'), 200));

  test('more than the maximum is cut to it [berth]', async () => {
    expectStatus(await list('?n=1001'), 200);
    expectStatus(await list('?n=1000000'), 200);
  });

  test('behind everything is nothing', async () => {
    const reply = await list('?last=~~~');
    expectStatus(reply, 200);
    expect(reply.json()).toEqual({ repositories: [] });
    expectHeaders(reply, { Link: undefined });
  });
});

checkEveryResponse();
