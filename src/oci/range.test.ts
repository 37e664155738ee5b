import { describe, expect, it } from 'vitest';
import { parseChunkRange, parseRange } from './range.ts';

describe('parseRange', () => {
  it.each([
    ['bytes=0-0', [[0, 0]]],
    ['bytes=500-1499', [[500, 1499]]],
    ['bytes=500-', [[500, 2047]]],
    ['bytes=-500', [[1548, 2047]]],
    ['bytes=2000-5000', [[2000, 2047]]],
    ['bytes=-5000', [[0, 2047]]],
    [
      'bytes=0-1,4-6',
      [
        [0, 1],
        [4, 6],
      ],
    ],
    [
      'bytes= 0-1 , -1',
      [
        [0, 1],
        [2047, 2047],
      ],
    ],
    ['bytes=0-1,4000-', [[0, 1]]],
  ])('reads %s', (header, parts) => {
    expect(parseRange(header, 2048)).toEqual(parts.map(([start, end]) => ({ start, end })));
  });

  it.each(['bytes=2048-', 'bytes=500-0', 'bytes=-0', 'bytes=0-1,9-3'])('finds no part in %j', (header) => {
    expect(parseRange(header, 2048)).toEqual([]);
  });

  it.each(['bytes=', 'bytes=-', 'bytes=a-b', 'bytes=1--2', 'bytes=0-1,x', 'byte=0-1', 'lines=0-5', '=0', ''])(
    'ignores %j',
    (header) => {
      expect(parseRange(header, 2048)).toBeUndefined();
    },
  );

  it('finds nothing in empty content', () => {
    expect(parseRange('bytes=0-', 0)).toEqual([]);
    expect(parseRange('bytes=-1', 0)).toEqual([]);
  });
});

describe('parseChunkRange', () => {
  it.each([
    ['0-9', { start: 0, end: 9 }],
    ['bytes 10-19/100', { start: 10, end: 19 }],
    ['bytes=10-19', { start: 10, end: 19 }],
  ])('reads %s', (header, part) => {
    expect(parseChunkRange(header)).toEqual(part);
  });

  it.each(['', '9-0', '-5', '5-', 'a-b', '0-1,3-4', 'bits 0-1'])('refuses %j', (header) => {
    expect(parseChunkRange(header)).toBeUndefined();
  });
});
