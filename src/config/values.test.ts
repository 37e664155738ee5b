import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { fileWith, loadText } from './testing/load-text.ts';
import { compileExpression } from './values.ts';

describe('values are brought into one form', () => {
  test.each([
    ['http.prefix gets its slashes', 'http: {prefix: /a/b}', { http: { prefix: '/a/b/' } }],
    [
      'http.host loses its slash',
      'http: {host: "https://A.example:443/x/"}',
      { http: { host: 'https://a.example/x' } },
    ],
    ['a bare number is nanoseconds', 'http: {draintimeout: 1500000000}', { http: { draintimeout: 1_500 } }],
    [
      '0 of a check is the default',
      'health: {storagedriver: {interval: 0s}}',
      { health: { storagedriver: { interval: 10_000 } } },
    ],
    ['0 of catalog is the default', 'catalog: {maxentries: 0}', { catalog: { maxentries: 1_000 } }],
    ['less of catalog too', 'catalog: {maxentries: -1}', { catalog: { maxentries: 1_000 } }],
    ['0 of tags is the default', 'tags: {maxtags: 0}', { tags: { maxtags: 1_000 } }],
    [
      'words in any case',
      'validation: {manifests: {indexes: {platforms: NONE}}}',
      { validation: { manifests: { indexes: { platforms: 'none' } } } },
    ],
    ['an empty text is no value', 'http: {addr: "", net: }', { http: { addr: ':5000', net: 'tcp' } }],
    ['one value is a list of one', 'http: {headers: {A: b}}', { http: { headers: { A: ['b'] } } }],
    ['a header without values is none', 'http: {headers: {A: , B: [c]}}', { http: { headers: { B: ['c'] } } }],
    [
      'authorities of clients make certificates required',
      'http: {tls: {certificate: a, key: b, clientcas: c}}',
      { http: { tls: { clientcas: ['c'], clientauth: 'require-and-verify-client-cert' } } },
    ],
    ['a socket', 'http: {net: unix, addr: /run/berth.sock}', { http: { addr: '/run/berth.sock' } }],
    [
      'the URL of a check is left alone',
      'health: {http: [{uri: "http://a/b/?c=d"}]}',
      { health: { http: [{ uri: 'http://a/b/?c=d' }] } },
    ],
    [
      'fields keep their types',
      'log: {fields: {a: 1, b: true, c: "1", d: 01, e: [x]}}',
      { log: { fields: { a: 1, b: true, c: '1', d: '01', e: ['x'] } } },
    ],
  ])('%s', async (_what, part, expected) => {
    expect((await loadText(fileWith(part))).config).toMatchObject(expected);
  });
});

describe('regular expressions of Go', () => {
  test.each([
    ['^https?://([^/]+\\.)*example\\.com/', 'https://a.example.com/b', true],
    ['(?i)EXAMPLE', 'https://example.com', true],
    ['(?s)a.b', 'a\nb', true],
    ['example\\-x', 'example-x', true],
    ['\\\\A', '\\A', true],
    ['^b', 'ab', false],
  ])('%s', (expression, url, matches) => expect(compileExpression(expression).test(url)).toBe(matches));

  test.each([
    '(',
    'a(?=b)',
    'a(?!b)',
    '(?<=a)b',
    '(?<!a)b',
    '(a)\\1',
    '(?<a>b)\\k<a>',
    '\\Aa',
    'a\\z',
    '\\pL',
    '[[:alpha:]]',
    '(?P<a>b)',
    '(?i:a)',
    '\\\\\\Q',
  ])('%s is refused', (expression) => expect(() => compileExpression(expression)).toThrow(TypeError));

  // Synchronous, so only a limit from outside can end it.
  const matchesInTime = (expression: RegExp | undefined, url: string): boolean =>
    runInNewContext('expression.test(url)', { expression, url }, { timeout: 5_000 });

  const pattern = '^https?://([^/]+\\.)*example\\.com/';
  const url = `http://${'a.'.repeat(60)}`;

  test.each([pattern, `(?s)${pattern}`, '(.*)*=(.*)*=(.*)*=(.*)*!'])(
    'judge what a client made up to hold them up: %s',
    (expression) => expect(matchesInTime(compileExpression(expression), `${url}!`)).toBe(false),
  );

  test('mean the same after a long search', () => {
    expect(matchesInTime(compileExpression(pattern), `${url}example.com/`)).toBe(true);
  });
});
