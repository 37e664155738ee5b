import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const top = fileURLToPath(new URL('../../..', import.meta.url));

/** A run of tests that starts an S3 server, with nothing set that this run has set, in a process group of its own. */
function startRun(): { run: ChildProcess; folder: string } {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(S3_|VITEST)/.test(name)));
  const run = spawn(
    process.execPath,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config',
      '.config/vitest.ts',
      'storage-drivers/s3/testing/server.e2e.test.ts',
    ],
    { cwd: top, env, stdio: 'ignore', detached: true },
  );
  return { run, folder: join(tmpdir(), `berth-s3-${run.pid}`) };
}

/** Processes that were started with something in this folder. */
function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return line.includes(folder) || readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`S3_DIR=${folder}\0`);
      } catch {
        return false; // It has ended meanwhile.
      }
    });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(50);
}

describe('the S3 server of a run', () => {
  test('goes with it', async () => {
    const { run, folder } = startRun();
    let seen = false;
    void until(() => existsSync(folder)).then(() => {
      seen = true;
    });
    expect(await once(run, 'exit')).toEqual([0, null]);
    expect(seen).toBe(true);
    expect(existsSync(folder)).toBe(false);
    await until(() => processesOf(folder).length === 0);
  });

  // As a terminal does it, to the whole group; and to the runner alone.
  test.each([
    ['SIGINT', 'group', 'starting'],
    ['SIGINT', 'group', 'started'],
    ['SIGTERM', 'runner', 'started'],
    ['SIGKILL', 'runner', 'starting'],
  ] as const)('goes when %s ends the %s while it is %s', async (signal, target, moment) => {
    const { run, folder } = startRun();
    await until(() => existsSync(moment === 'starting' ? folder : join(folder, 's3.env')));
    const ended = once(run, 'exit');
    process.kill((run.pid ?? 0) * (target === 'group' ? -1 : 1), signal);
    await ended;
    await until(() => processesOf(folder).length === 0);
    expect([existsSync(folder), existsSync(`${folder}.lock`)]).toEqual([false, false]);
  });
});
