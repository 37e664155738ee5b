import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bufferedDestination } from './destination.ts';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-log-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('lines are collected, and written in order when flushed', () => {
  const path = join(folder, 'a.log');
  const fd = openSync(path, 'w');
  const destination = bufferedDestination(fd);
  destination.write('one\n');
  destination.write('two\n');
  expect(readFileSync(path, 'utf8')).toBe('');
  destination.flushSync?.();
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
  closeSync(fd);
});

test('what is collected is written by itself, in order, when it is much', async () => {
  const path = join(folder, 'fifo');
  execFileSync('mkfifo', [path]);
  const reader = spawn('head', ['-c', '720000', path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let received = '';
  reader.stdout.on('data', (chunk) => {
    received += chunk;
  });
  const fd = openSync(path, constants.O_RDWR);
  const destination = bufferedDestination(fd);
  const lines = Array.from({ length: 60_000 }, (_, line) => `line ${String(line).padStart(6, '0')}\n`);
  for (const line of lines) destination.write(line);
  await once(reader, 'close');
  expect(received).toBe(lines.join(''));
  closeSync(fd);
});

test('a full disk does no harm', async () => {
  const destination = bufferedDestination(openSync('/dev/full', 'w'));
  for (let line = 0; line < 1000; line++) destination.write(`line ${line}, which nobody will read\n`);
  destination.flushSync?.();
  await new Promise((resolve) => setImmediate(resolve));
  destination.write('and another one\n');
  destination.flushSync?.();
});
