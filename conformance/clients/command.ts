import { type RunOptions, type RunResult, run } from '../harness/run.ts';

/** Runs a program with these arguments and resolves with its standard output, trimmed. */
export type Command = (...args: readonly string[]) => Promise<string>;

/**
 * A program with the arguments and the environment that every call of it needs.
 *
 * The command rejects with all of the program's output unless it ends with code 0.
 */
export function createCommand(program: string, leading: readonly string[] = [], options: RunOptions = {}): Command {
  return async (...args) => {
    const all = [...leading, ...args];
    const result = await run(program, all, options);
    if (result.code !== 0)
      throw new Error(`${program} ${all.join(' ')}: ended with ${result.code}\n${outputOf(result)}`);
    return result.stdout.trim();
  };
}

export function outputOf({ stdout, stderr }: RunResult): string {
  return `${stdout}\n${stderr}`.trim();
}
