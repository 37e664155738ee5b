import { describe, expect, test } from 'vitest';
import { formatDuration, parseDuration } from './duration.ts';

describe('a span of time', () => {
  test.each([
    ['168h', 604_800_000],
    ['1h30m', 5_400_000],
    ['1h15m30.918s', 4_530_918],
    ['500ms', 500],
    ['1500us', 2],
    ['2000µs', 2],
    ['2000μs', 2],
    ['1.5s', 1_500],
    ['.5s', 500],
    ['+10s', 10_000],
    ['0', 0],
    ['0s', 0],
    ['10000000000', 10_000],
  ])('%s is %i ms', (text, expected) => expect(parseDuration(text)).toBe(expected));

  test.each(['', '-1s', '10', '500us', '1d', '1 h', 'h', '1.s.', '10s ', '1e3s', '9999999999999h'])(
    '%j is none',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );

  test.each(['168h', '1h30m', '10s', '500ms', '1m0s500ms', '0s'])('%s is written so that it reads the same', (text) => {
    const length = parseDuration(text) ?? Number.NaN;
    expect(parseDuration(formatDuration(length))).toBe(length);
  });

  test.each([
    [604_800_000, '168h'],
    [5_400_000, '1h30m'],
    [60_500, '1m500ms'],
    [0, '0s'],
  ])('%i ms are written %s', (length, text) => expect(formatDuration(length)).toBe(text));
});
