import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { pattern } from '../testing/fixture.ts';
import { Segments } from './segments.ts';

const mebibyte = 1024 * 1024;

test('bytes come out as they went in, as often as they are asked for', async () => {
  const content = pattern(1_000_003);
  const segments = new Segments();
  for (let start = 0, size = 1; start < content.length; start += size, size = (size * 7) % 100_003) {
    segments.append(content.subarray(start, start + size), Number.POSITIVE_INFINITY);
  }
  expect(segments.size).toBe(content.length);
  for (let attempts = 0; attempts < 3; attempts += 1) {
    expect((await buffer(segments.stream())).equals(content)).toBe(true);
  }
  segments.release(true);
});

test('a limit says how much was taken', () => {
  const segments = new Segments();
  expect(segments.append(Buffer.alloc(700), 1000)).toBe(700);
  expect(segments.append(Buffer.alloc(700), 1000)).toBe(300);
  expect(segments.append(Buffer.alloc(700), 1000)).toBe(0);
  expect(segments.size).toBe(1000);
  segments.release(true);
  expect(segments.size).toBe(0);
});

test('what is appended is copied', async () => {
  const chunk = Buffer.from('first');
  const segments = new Segments();
  segments.append(chunk, 100);
  chunk.fill('x');
  expect((await buffer(segments.stream())).toString()).toBe('first');
  segments.release(false);
});

test('memory that somebody may still read is not given to the next one', async () => {
  const first = new Segments();
  first.append(pattern(mebibyte), mebibyte);
  const stream = first.stream();
  first.release(false);
  const second = new Segments();
  second.append(Buffer.alloc(mebibyte, 'x'), mebibyte);
  expect((await buffer(stream)).includes('xxxx')).toBe(false);
  second.release(true);
});

test('memory is taken as it is needed, and given back', () => {
  const segments = new Segments();
  segments.append(Buffer.from('x'), mebibyte);
  expect(segments.memory).toBeLessThan(32 * 1024);
  segments.append(Buffer.alloc(mebibyte), 2 * mebibyte);
  expect(segments.memory).toBeGreaterThanOrEqual(mebibyte);
  expect(segments.memory).toBeLessThan(1.5 * mebibyte);
  segments.release(true);
  expect(segments.memory).toBe(0);
});
