import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { namesOf } from '../testing/fixture.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';
import { createRandom } from './testing/random.ts';

let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
}, 60_000);
beforeEach(() => storage.proxy.forget());
afterAll(() => storage.dispose(), 120_000);

/** Makes folders (`name/`) and objects. @returns their names in byte order */
async function make(path: string, entries: readonly string[]): Promise<string[]> {
  const left = [...entries];
  const lane = async () => {
    for (let entry = left.pop(); entry !== undefined; entry = left.pop()) {
      await storage.truth.put(`${path}/${entry}${entry.endsWith('/') ? 'current/link' : ''}`, Buffer.from('x'));
    }
  };
  await Promise.all(Array.from({ length: 24 }, lane));
  return entries.map((entry) => entry.replace('/', '')).sort();
}

function numbered(count: number, name: (digits: string) => string): string[] {
  return Array.from({ length: count }, (_, index) => name(String(index).padStart(4, '0')));
}

/** As who reads a page does it. */
async function firstOf(path: string, limit: number, after?: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of storage.driver.list(path, { limit, ...(after !== undefined && { after }) })) {
    if (names.push(name) === limit) break;
  }
  return names;
}

/** Requests since the last call. */
function requests(): number {
  const count = storage.proxy.operations.filter((operation) => operation === 'ListObjectsV2').length;
  storage.proxy.forget();
  return count;
}

describe('a listing', { timeout: 120_000 }, () => {
  test('puts names that begin alike in the order of names, not of keys', async () => {
    const entries = ['app/', 'app-extra/', 'app.x/', 'app+y/', 'app0/', 'app', 'ap', 'apple/', 'b'].filter(
      (entry) => entry !== 'app',
    );
    const names = await make('/alike', entries);
    expect(await namesOf(storage.driver, '/alike')).toEqual(names);
    expect(names.slice(0, 5)).toEqual(['ap', 'app', 'app+y', 'app-extra', 'app.x']);
    for (const after of [...names, 'a', 'app-', 'app/', 'zzz']) {
      expect(await namesOf(storage.driver, '/alike', { after }), after).toEqual(names.filter((name) => name > after));
    }
    expect(await namesOf(storage.driver, '/alike/app')).toEqual(['current']);
  });

  test('keeps that order where a folder belongs into a page before its own, and asks once for each', async () => {
    const names = await make('/long', [
      'a/',
      ...numbered(230, (digits) => `a-${digits}/`),
      'b/',
      ...numbered(1100, (digits) => `b.${digits}/`),
      'b-b/',
      'c',
    ]);
    requests();
    expect(await namesOf(storage.driver, '/long')).toEqual(names);
    // 1,000 names and the rest, which has the folder `b`.
    expect(requests()).toBe(2);
    expect(await namesOf(storage.driver, '/long', { limit: 190 })).toEqual(names);
    // 200 names, 1,000 and the rest; and one question for the folder `a`, as nobody wants the second page at first.
    expect(requests()).toBe(4);

    for (const after of ['a', 'a-0198', 'a-0199', 'a-0200', 'b', 'b-b', 'b.0966', 'b.1099', 'c']) {
      expect(await namesOf(storage.driver, '/long', { after }), after).toEqual(names.filter((name) => name > after));
    }
  });

  test('costs a page when a page is read, wherever it begins', async () => {
    await make(
      '/flat',
      numbered(450, (digits) => `name${digits}`),
    );
    for (const after of [undefined, 'name0100', 'name0300']) {
      requests();
      let count = 0;
      for await (const _ of storage.driver.list('/flat', after === undefined ? {} : { after })) {
        count += 1;
        if (count === 100) break;
      }
      expect(count).toBe(100);
      expect(requests()).toBe(1);
    }
  });

  test('asks little about the many names that one name begins with', async () => {
    const dashes = (count: number) => 'a-'.repeat(count);
    const names = await make('/dashes', [
      'a/',
      `${dashes(20)}a/`,
      ...numbered(40, (digits) => `${dashes(60)}${digits}/`),
      'b/',
    ]);
    for (const limit of [1, 2, 20]) {
      requests();
      expect(await firstOf('/dashes', limit)).toEqual(names.slice(0, limit));
      expect(requests(), String(limit)).toBe(2);
    }
    requests();
    const asked = Array.from({ length: 60 }, (_, index) => `${dashes(index)}a`);
    expect(await storage.driver.folders?.('/dashes', asked)).toEqual([`${dashes(20)}a`, 'a']);
    expect(requests()).toBe(1);
  });

  test('asks once for each thousand names between those that one name begins with', async () => {
    await make('/far', ['a-b-c-d/', 'a-b-c/', ...numbered(2100, (digits) => `a-b-c${digits}/`), 'a-b/', 'a/']);
    requests();
    const found = await storage.driver.folders?.('/far', ['a', 'a-b', 'a-b-c', 'a-b-c-d', 'a-b-c-d-e']);
    expect(found).toEqual(['a-b-c-d', 'a-b-c', 'a-b', 'a']);
    expect(requests()).toBe(2);
  });

  test('is right for any names, behind any name', async () => {
    const next = createRandom(7);
    const random = (limit: number) => Math.floor(next() * limit);
    const letters = 'ab-.+_0';
    const word = () => Array.from({ length: 1 + random(6) }, () => letters[random(letters.length)]).join('');
    const words = [...new Set(Array.from({ length: 1200 }, word))]
      .filter((name) => !/^\.\.?$/.test(name))
      .slice(0, 600);
    const names = await make(
      '/random',
      words.map((name) => (random(3) > 0 ? `${name}/` : name)),
    );
    expect(names.length).toBeGreaterThan(400);
    expect(await namesOf(storage.driver, '/random')).toEqual(names);
    for (let rounds = 0; rounds < 40; rounds += 1) {
      const after = random(2) === 0 ? word() : (names[random(names.length)] ?? '');
      const behind = names.filter((name) => name > after);
      expect(await namesOf(storage.driver, '/random', { after }), after).toEqual(behind);
      const limit = 1 + random(30);
      expect(await firstOf('/random', limit, after), `${limit} behind ${after}`).toEqual(behind.slice(0, limit));
    }
  });
});
