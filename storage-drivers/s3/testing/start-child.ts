import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const project = fileURLToPath(new URL('../../..', import.meta.url));
const script = `${project}dist/storage-drivers/s3/testing/child.js`;

/** Compiles the drivers, so that a child runs the same code as the test. */
export async function buildChild(): Promise<void> {
  await promisify(execFile)(`${project}node_modules/.bin/tsc`, ['-b', 'storage-drivers'], { cwd: project });
}

export interface Child {
  /** The next step that it says, parsed. @throws Error when it ended instead */
  step(): Promise<unknown>;
  /** Ends it at once, wherever it is, and resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts a task of `child.ts`. @param parameters of its driver */
export function startChild(parameters: Readonly<Record<string, unknown>>, task: string, ...args: string[]): Child {
  const child = spawn(process.execPath, [script, task, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, PARAMETERS: JSON.stringify(parameters) },
  });
  const exited = once(child, 'exit');
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async step() {
      const { value, done } = await lines.next();
      if (done) throw new Error(`the child ended early: ${errors}`);
      return JSON.parse(value);
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
