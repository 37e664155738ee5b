import { run } from '../harness/run.ts';
import { berthCommand } from '../harness/server.ts';

/** Adds a user to a password file. At a low cost: what is tested is not bcrypt. */
export async function addUser(file: string, user: string, password: string): Promise<void> {
  const [command, ...leading] = berthCommand();
  const args = [...leading, 'htpasswd', 'add', '--cost', '5', file, user];
  const { code, stderr } = await run(command, args, { input: `${password}\n` });
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
}
