import { spawn } from 'node:child_process';

export interface RunOptions {
  /** Added to the environment of this process; undefined takes a variable away. */
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  /** Written to the standard input. */
  input?: string | Uint8Array;
  /** In milliseconds. Default: five minutes. */
  timeout?: number;
}

export interface RunResult {
  stdout: string;
  stderr: string;
  /** The exit code. */
  code: number;
}

/**
 * Runs a program to its end. Any exit code is a result.
 *
 * @throws Error when it cannot be started, is ended by a signal, or takes longer than `timeout`; the message carries its output
 */
export function run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
  const { env, cwd, input, timeout = 300_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: 'pipe' });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    child.once('error', (cause) => {
      clearTimeout(timer);
      reject(new Error(`${command}: cannot be started`, { cause }));
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      const result = { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
      if (code !== null) return resolve({ ...result, code });
      const line = [command, ...args].join(' ');
      reject(new Error(`${line}: ended by ${signal} (limit ${timeout} ms)\n${result.stdout}\n${result.stderr}`));
    });
  });
}
