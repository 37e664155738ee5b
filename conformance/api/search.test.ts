import { beforeAll, describe, expect, test } from 'vitest';
import { expectHeaders, expectStatus } from './expectations.ts';
import { pushImage } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

/** What docker and podman read of the answer. */
interface SearchResults {
  query: string;
  num_results: number;
  num_pages: number;
  page: number;
  page_size: number;
  results: { name: string; description: string; star_count: number; is_official: boolean; is_automated: boolean }[];
}

async function search(query: string, headers: Record<string, string> = {}): Promise<SearchResults> {
  const reply = await registry.request('GET', `/v1/search?${query}`, { headers });
  expectStatus(reply, 200);
  expectHeaders(reply, { 'Content-Type': /^application\/json(;|$)/ });
  return reply.json() as SearchResults;
}

describe('GET /v1/_ping, which docker search asks first [client]', () => {
  test('says that this registry stands alone or not', async () => {
    const reply = await registry.request('GET', '/v1/_ping');
    expectStatus(reply, 200);
    expectHeaders(reply, { 'X-Docker-Registry-Standalone': /^(true|false|0|1)$/ });
  });

  test('takes the empty credentials that docker sends then', async () => {
    expectStatus(await registry.request('GET', '/v1/_ping', { headers: { Authorization: 'Basic Og==' } }), 200);
  });
});

describe('GET /v1/search, as docker search and podman search ask [client]', () => {
  const root = registry.repository();
  const names = ['lib/tiny', 'lib/tiny-too', 'lib/large', 'tiny'].map((name) => `${root}/${name}`);

  beforeAll(async () => {
    for (const name of names) await pushImage(registry, name, 'latest');
  });

  test('finds what has the term in its name', async () => {
    const term = encodeURIComponent(`${root}/lib/tiny`);
    const found = await search(`q=${term}&n=25`, { 'X-Docker-Token': 'true' });
    expect(found.results.map(({ name }) => name).toSorted()).toEqual([`${root}/lib/tiny`, `${root}/lib/tiny-too`]);
    expect(found).toMatchObject({ query: `${root}/lib/tiny`, num_results: 2 });
    for (const result of found.results) {
      expect(result).toMatchObject({ description: expect.any(String), star_count: expect.any(Number) });
      expect(result).toMatchObject({ is_official: expect.any(Boolean), is_automated: expect.any(Boolean) });
    }
  });

  test('finds a term in the middle, with slashes as they are', async () => {
    const found = await search(`q=${root}/lib`);
    expect(found.results).toHaveLength(3);
  });

  test('gives no more than was asked for', async () => {
    const found = await search(`q=${root}&n=1`);
    expect(found.results).toHaveLength(1);
  });

  test('finds nothing where nothing is', async () => {
    const found = await search('q=no-such-repository-anywhere');
    expect(found).toMatchObject({ num_results: 0, results: [] });
  });

  test('takes the empty credentials that docker sends for nobody', async () => {
    const found = await search(`q=${root}`, { Authorization: 'Basic Og==' });
    expect(found.results).toHaveLength(4);
  });

  for (const query of ['', 'q=', 'q=%zz', 'q=x&n=0', 'q=x&n=-1', 'q=x&n=many', `q=${'x'.repeat(2000)}`, 'q=(%5B*']) {
    test(`breaks at nothing: ${query.slice(0, 20) || 'no query'}`, async () => {
      expectStatus(await registry.request('GET', `/v1/search?${query}`), 200, 400);
    });
  }
});

checkEveryResponse();
