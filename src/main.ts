#!/usr/bin/env node
import { createProgram } from './cli/program.ts';
import { ConfigError } from './config/finding.ts';

const args = process.argv.slice(2);
// `docker run … IMAGE registry serve FILE`, and `docker run … IMAGE FILE`, as distribution's image has it.
if (args[0] === 'registry' || args[0] === 'berth') args.shift();
if (/\.ya?ml$/.test(args[0] ?? '')) args.unshift('serve');

try {
  await createProgram().parseAsync(args, { from: 'user' });
} catch (error) {
  // What an operator can mend is said in words; anything else is a fault of ours and comes with its stack.
  const expected = error instanceof ConfigError || (error instanceof Error && 'code' in error);
  console.error(expected ? `berth: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
