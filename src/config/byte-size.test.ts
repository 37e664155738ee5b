import { describe, expect, test } from 'vitest';
import { formatByteSize, parseByteSize } from './byte-size.ts';

describe('a number of bytes', () => {
  test.each([
    ['100GiB', 107_374_182_400],
    ['1.5 TB', 1_500_000_000_000],
    ['64mib', 67_108_864],
    ['1.5KiB', 1_536],
    ['10MB', 10_000_000],
    ['500000', 500_000],
    ['7B', 7],
    ['0', 0],
  ])('%s is %i', (text, expected) => expect(parseByteSize(text)).toBe(expected));

  test.each(['', '-1GiB', 'GiB', '1 G', '1Gi', '10 PiB', '1e3', '0x10', '.5GiB', '99999999TiB', '1GiB '])(
    '%j is none',
    (text) => expect(parseByteSize(text)).toBeUndefined(),
  );

  test.each([1, 500_000, 1_024, 1_500_000, 107_374_182_400, 1_500_000_000_000, 1_234_567_891])(
    '%i is written so that it reads the same',
    (bytes) => expect(parseByteSize(formatByteSize(bytes))).toBe(bytes),
  );
});
