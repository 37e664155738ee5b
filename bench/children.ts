import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';

const alive = new Set<ChildProcess>();

// The last resort: whatever way this process ends, except by SIGKILL, none that it started stays behind.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Remembers a child until it has ended, so that it cannot outlive this process. */
export function keepTrack<Child extends ChildProcess>(child: Child): Child {
  alive.add(child);
  child.once('exit', () => alive.delete(child));
  child.once('error', () => alive.delete(child));
  return child;
}

/** Starts a program and waits until it runs. @throws Error when it cannot be started */
export async function startChild(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<ChildProcess> {
  const child = keepTrack(spawn(command, args, options));
  await once(child, 'spawn');
  return child;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Asks a child to end, waits, and ends it the hard way when it does not within `patience` milliseconds. */
export async function stopChild(child: ChildProcess, patience = 15_000): Promise<void> {
  if (hasEnded(child)) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), patience);
  await ended;
  clearTimeout(timer);
}

/** Runs a program to its end and gives its standard output. @throws Error with its standard error when it fails */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'signal' | 'env'> = {},
): Promise<string> {
  const child = await startChild(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const texts = ['', ''];
  [child.stdout, child.stderr].forEach((stream, index) => {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      texts[index] += text;
    });
  });
  const [code, killed] = await once(child, 'close');
  const [output = '', errors = ''] = texts;
  if (code !== 0) throw new Error(`${command} ended with ${killed ?? code}: ${(errors || output).trim()}`);
  return output;
}
