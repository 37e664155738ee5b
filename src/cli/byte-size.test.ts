import { expect, it } from 'vitest';
import { formatBytes } from './byte-size.ts';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [1536, '1.50 KiB'],
  [23.4 * 1024 * 1024, '23.4 MiB'],
  [999 * 1024 * 1024, '999 MiB'],
  [5 * 1024 ** 4, '5.00 TiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
