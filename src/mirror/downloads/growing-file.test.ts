import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ByteRange } from '../../registry/registry.ts';
import { GrowingFile } from './growing-file.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-growing-'));
  path = join(folder, 'blob');
});
afterEach(() => rmSync(folder, { recursive: true }));

const mib = 1024 * 1024;
const content = randomBytes(6 * mib + 321);
const whole = { start: 0, end: content.length - 1 };

async function bytes(file: GrowingFile, range: ByteRange, pause = 0): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of file.read(range) ?? []) {
    parts.push(Buffer.from(chunk));
    if (pause > 0) await delay(pause);
  }
  return Buffer.concat(parts);
}

async function append(file: GrowingFile, pieceSize: number, pause = 0): Promise<void> {
  for (let position = 0; position < content.length; position += pieceSize) {
    await file.append(content.subarray(position, position + pieceSize));
    if (pause > 0) await delay(pause);
  }
}

test('gives right bytes to who is as fast as they come, to who is slow, to who comes late, and for ranges', async () => {
  const file = await GrowingFile.create(path, content.length);
  const ranges = [
    whole,
    { start: 0, end: 0 },
    { start: 3 * mib - 5, end: 5 * mib },
    { start: 6 * mib, end: whole.end },
  ];
  const reads = [...ranges.map((range) => bytes(file, range)), ...ranges.map((range) => bytes(file, range, 5))];
  await append(file, 100_003, 1);
  const late = ranges.map((range) => bytes(file, range));
  file.finish();
  for (const [index, read] of [...reads, ...late].entries()) {
    const { start, end } = ranges[index % ranges.length] ?? whole;
    expect((await read).equals(content.subarray(start, end + 1)), `read ${index}`).toBe(true);
  }
  await file.release();
});

test('has all in the file, and only then says what it holds', async () => {
  const file = await GrowingFile.create(path, content.length, '/object');
  // In pieces that are larger than the memory for what is not written yet.
  await append(file, 2 * mib + 1);
  file.finish();
  expect(await file.content()).toMatchObject({ object: { path: '/object', size: content.length } });
  expect(readFileSync(path).equals(content)).toBe(true);
  const parts: Uint8Array[] = [];
  for await (const chunk of await file.content()) parts.push(chunk);
  expect(Buffer.concat(parts).equals(content)).toBe(true);
  await file.release();
  expect(existsSync(path)).toBe(false);
});

test('holds back the end until it is known to be right', async () => {
  const file = await GrowingFile.create(path, content.length);
  const reader = file.read(whole);
  let read = 0;
  const reading = (async () => {
    for await (const chunk of reader ?? []) read += chunk.length;
  })();
  await append(file, mib);
  await expect.poll(() => read).toBe(content.length - 64 * 1024);
  await delay(20);
  expect(read).toBe(content.length - 64 * 1024);
  file.finish();
  await reading;
  expect(read).toBe(content.length);
  await file.release();
});

test('begins anew', async () => {
  const file = await GrowingFile.create(path, content.length);
  await file.append(randomBytes(2 * mib));
  expect(await file.restart()).toBe(true);
  expect(file.written).toBe(0);
  await append(file, 300_000);
  file.finish();
  expect((await bytes(file, whole)).equals(content)).toBe(true);
  await file.content();
  expect(readFileSync(path).equals(content)).toBe(true);
  await file.release();
});

test('does not begin anew once somebody is given something, be it while the disk is waited for', async () => {
  const file = await GrowingFile.create(path, content.length);
  await file.append(randomBytes(2 * mib));
  const restarted = file.restart();
  const reader = file.read(whole)?.[Symbol.asyncIterator]();
  await reader?.next();
  expect(await restarted).toBe(false);
  expect(file.written).toBe(2 * mib);
  await reader?.return?.();
  await file.release();
  expect(file.written).toBe(2 * mib);
});

test('is read to the end by those who have begun before it was released', async () => {
  const file = await GrowingFile.create(path, content.length);
  await append(file, mib);
  file.finish();
  const reading = bytes(file, whole, 5);
  await delay(10);
  await file.release();
  expect((await reading).equals(content)).toBe(true);
  expect(file.read(whole)).toBeUndefined();
});
