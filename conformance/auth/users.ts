import { existsSync } from 'node:fs';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';

/** Adds a user to a password file, or changes the password. At a low cost: what is tested is not bcrypt. */
export async function addUser(file: string, user: string, password: string): Promise<void> {
  const args = [existsSync(file) ? '-iB' : '-icB', '-C', '5', file, user];
  const { code, stderr } = await run(requireTool('htpasswd'), args, { input: password });
  if (code !== 0) throw new Error(`htpasswd ${args.join(' ')}: ${stderr}`);
}
