import { describe, expect, it } from 'vitest';
import { digestOf, parseDigest, tryParseDigest } from './digest.ts';
import { tryParseRepositoryName, tryParseTag } from './name.ts';
import { parseReference } from './reference.ts';

describe('repository names', () => {
  it.each(['a', 'a/b', 'a.b/c_d/e__f/g---h', '0', 'user/name', 'a/manifests/tags', 'x'.repeat(255)])(
    'accept %s',
    (name) => {
      expect(tryParseRepositoryName(name)).toBe(name);
    },
  );

  it.each([
    '',
    'A',
    '/a',
    'a/',
    'a//b',
    '-a',
    'a-',
    'a..b',
    'a___b',
    'a._b',
    'a:5000/b',
    '../a',
    'ä',
    'a b',
    'x'.repeat(256),
    'a\n',
  ])('refuse %j', (name) => {
    expect(tryParseRepositoryName(name)).toBeUndefined();
  });

  it('are refused quickly, however long', () => {
    expect(tryParseRepositoryName(`${'a-'.repeat(100_000)}!`)).toBeUndefined();
  });
});

describe('tags', () => {
  it.each(['latest', 'v1.0', '_', `sha256-${'a'.repeat(64)}`, 'A'.repeat(128)])('accept %s', (tag) => {
    expect(tryParseTag(tag)).toBe(tag);
  });
  it.each(['', '.a', '-a', 'a:b', 'a/b', 'A'.repeat(129), 'a b', 'a\n'])('refuse %j', (tag) => {
    expect(tryParseTag(tag)).toBeUndefined();
  });
});

describe('digests', () => {
  const empty = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

  it('are computed and read', () => {
    expect(digestOf(Buffer.alloc(0))).toBe(empty);
    expect(parseDigest(empty)).toBe(empty);
    expect(parseDigest(digestOf(Buffer.from('x'), 'sha512'))).toMatch(/^sha512:[a-f0-9]{128}$/);
  });

  it.each([
    '',
    'sha256',
    'sha256:',
    'sha256:abc',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(65)}`,
    `md5:${'a'.repeat(32)}`,
    `${empty}\n`,
  ])('refuse %j', (text) => {
    expect(tryParseDigest(text)).toBeUndefined();
  });

  it('say which of form and algorithm is wrong', () => {
    expect(() => parseDigest(`sha257:${'a'.repeat(64)}`)).toThrow('sha257 is not supported');
    expect(() => parseDigest('sha256:abc')).toThrow('64');
  });
});

describe('references', () => {
  it('are digests with a colon and tags without', () => {
    expect(parseReference('latest')).toBe('latest');
    expect(parseReference('.no-tag')).toBeUndefined();
    expect(() => parseReference('sha256:totallywrong')).toThrow();
  });
});
