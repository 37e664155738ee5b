import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { RecentBytes } from './recent-bytes.ts';

const mib = 1024 * 1024;

/** From a position to the end, however it lies in memory. */
function all(recent: RecentBytes, from: number): Buffer {
  const parts: Buffer[] = [];
  for (let position = from; position < recent.end; ) {
    const part = recent.from(position);
    expect(part.length).toBeGreaterThan(0);
    parts.push(Buffer.from(part));
    position += part.length;
  }
  return Buffer.concat(parts);
}

test('keeps all of what is small, in no more memory', () => {
  const content = randomBytes(1000);
  const recent = new RecentBytes(content.length);
  recent.add(content.subarray(0, 1));
  recent.add(content.subarray(1));
  expect(recent).toMatchObject({ size: 1000, start: 0, end: 1000 });
  expect(all(recent, 0)).toEqual(content);
  expect(all(recent, 999)).toEqual(content.subarray(999));
});

test('keeps the end of what is large, whatever the sizes of its pieces', () => {
  const content = randomBytes(5 * mib + 7);
  const recent = new RecentBytes(content.length);
  for (let position = 0, size = 1; position < content.length; size = (size * 7) % 300_007) {
    recent.add(content.subarray(position, position + size));
    position = Math.min(content.length, position + size);
    expect(recent.end).toBe(position);
    expect(recent.start).toBe(Math.max(0, position - mib));
    expect(all(recent, recent.start).equals(content.subarray(recent.start, position))).toBe(true);
  }
  recent.add(content.subarray(0, mib));
  expect(all(recent, recent.start).equals(content.subarray(0, mib))).toBe(true);
});

test('begins anew, also in memory that another one has given back', () => {
  const first = new RecentBytes();
  first.add(Buffer.from('what was'));
  first.clear();
  expect(first).toMatchObject({ start: 0, end: 0 });
  first.add(Buffer.from('what is'));
  expect(all(first, 0).toString()).toBe('what is');
  first.release();
  const second = new RecentBytes();
  expect(second.end).toBe(0);
  second.add(Buffer.from('new'));
  expect(all(second, 0).toString()).toBe('new');
});
