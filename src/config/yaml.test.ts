import { describe, expect, test } from 'vitest';
import { toPlain } from './node.ts';
import { inFile, readYaml } from './yaml.ts';

function plain(text: string): unknown {
  const read = readYaml(text, inFile('f'));
  return 'node' in read ? toPlain(read.node) : read.faults.map(({ source, message }) => `${source} ${message}`);
}

describe('reading YAML', () => {
  test.each([
    ['anchors', 'a: &x {b: c}\nd: *x', { a: { b: 'c' }, d: { b: 'c' } }],
    [
      'merge keys, own keys first',
      'a: &x {b: c, e: f}\nd:\n  <<: *x\n  b: g',
      { a: { b: 'c', e: 'f' }, d: { b: 'g', e: 'f' } },
    ],
    [
      'several merged maps, the earlier first',
      'a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne: {<<: [*x, *y]}',
      {
        a: { b: 1 },
        c: { b: 2, d: 3 },
        e: { b: 1, d: 3 },
      },
    ],
    ['nothing', '', null],
    ['comments only', '# a', null],
    ['a leading document mark', '---\na: b', { a: 'b' }],
    [
      'names of JavaScript as keys',
      'constructor: a\n__proto__: b',
      Object.fromEntries([
        ['constructor', 'a'],
        ['__proto__', 'b'],
      ]),
    ],
  ])('understands %s', (_what, text, expected) => expect(plain(text)).toEqual(expected));

  test.each([
    ['12345', 12345],
    ['0123', '0123'],
    ['1e3', '1e3'],
    ['1.50', '1.50'],
    ['0x10', '0x10'],
    ['-1', -1],
    ['yes', true],
    ['Off', false],
    ['n', 'n'],
    ['"yes"', 'yes'],
    ["'5'", '5'],
    ['!!str 5', '5'],
    ['2020-01-01', '2020-01-01'],
    ['10:30', '10:30'],
    ['.inf', '.inf'],
    ['~', null],
  ])('without a type, %s is %j', (text, expected) => expect(plain(text)).toEqual(expected));

  test.each([
    ['a: 1\nb: 2\na: 3', 'f:3:1 is not YAML: the key is given twice'],
    ['a:\n\tb: 1', 'f:2:1 is not YAML: tabs cannot indent; use spaces'],
    ['a: b: c', 'f:1:4 is not YAML: a colon and a space inside a value; quote it'],
    ['a: *', 'f:1:4 is not YAML: a * begins an alias; quote the value, as in \'["*"]\''],
    ['a: *b', 'f:1:4 is not YAML: an alias (*) names no anchor (&) above it'],
    ['a: &x {b: *x}', 'f:1:11 is not YAML: an alias (*) names no anchor (&) above it'],
    ['a: @b', 'f:1:4 is not YAML: a value cannot start with @ or `; quote it'],
    ['a: 1\n---\nb: 2', 'f:2:1 is not YAML: more than one document; take out the second ---'],
    ['? [a]\n: b', 'f:1:3 is not a configuration: a key must be a single word'],
  ])('refuses %j', (text, expected) => expect(plain(text)).toEqual([expected]));

  test('says nothing of the text that it cannot read, which may be a secret', () => {
    for (const text of [
      'a: "hunter2',
      'a: *hunter2',
      'a: {b: hunter2',
      'a: "\\hunter2"',
      'a: b\n hunter2: c',
      '%hunter2\na',
    ]) {
      expect(String(plain(text))).not.toContain('hunter2');
    }
  });
});
