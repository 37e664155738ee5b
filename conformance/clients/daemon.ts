import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../harness/run.ts';

/** A background program that a client needs. */
export interface Daemon {
  readonly pid: number;
  /** Ends it in order, and waits for that. */
  stop(): Promise<void>;
}

/** In milliseconds. */
const limits = { start: 60_000, stop: 30_000 };

const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGTERM');
});

/**
 * Starts a program that stays.
 *
 * @param answers says whether it can be used; asked again and again until it can
 * @throws Error with the program's output when it ends or does not answer in time
 */
export async function startDaemon(
  program: string,
  args: readonly string[],
  answers: () => Promise<boolean>,
): Promise<Daemon> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  const record = (text: string) => {
    output = (output + text).slice(-20_000);
  };
  child.stdout.setEncoding('utf8').on('data', record);
  child.stderr.setEncoding('utf8').on('data', record);
  const exit = new Promise<void>((resolve) => {
    const end = (error?: unknown) => {
      if (error instanceof Error) record(error.message);
      running.delete(child);
      resolve();
    };
    child.once('error', end);
    child.once('exit', () => end());
  });
  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), limits.stop);
    await exit;
    clearTimeout(timer);
  }

  const deadline = Date.now() + limits.start;
  while (!(await answers())) {
    if (running.has(child) && Date.now() < deadline) {
      await delay(100);
      continue;
    }
    const reason = running.has(child) ? 'does not answer' : 'ended';
    await stop();
    throw new Error(`${program} ${reason}:\n${output}`);
  }
  return { pid: child.pid ?? 0, stop };
}

/** Unmounts what a daemon left mounted below a folder, the innermost first. */
export async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
  for (const mount of mounts.filter((path) => path.startsWith(`${folder}/`)).reverse()) {
    await run('umount', ['--lazy', mount]);
  }
}
