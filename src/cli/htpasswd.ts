import { randomUUID } from 'node:crypto';
import { chmod, chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { accessTokenFront } from '../auth/builtin/access-tokens.ts';
import { Bcrypt, hashPassword, maxPasswordLength, usualCost } from '../auth/passwords/bcrypt.ts';
import { parseHtpasswd, withoutUser, withUser } from '../auth/passwords/htpasswd.ts';
import { CommandError } from './command-error.ts';
import { readPassword } from './secret-input.ts';

export function addHtpasswd(program: Command): void {
  const htpasswd = program
    .command('htpasswd')
    .summary('add, remove and verify users in a password file')
    .description(
      'Keeps a file of users and bcrypt hashes, as auth.htpasswd.path and auth.builtin.users name it. A running registry takes changes over within a second. The password is asked for, or read from standard input when that is no terminal.',
    );

  htpasswd
    .command('add')
    .argument('<file>', 'the password file; made when it is not there')
    .argument('<user>', 'the user', parseUser)
    .summary('add a user, or give a user another password')
    .option('-C, --cost <cost>', `the work of a verification, as a power of two, from 4 to 17`, parseCost, usualCost)
    .action(async (file: string, user: string, { cost }: { cost: number }) => {
      parseHtpasswd(await readOrEmpty(file));
      const password = await readPassword({ repeat: true });
      if (password === '') throw new CommandError('the password must not be empty');
      if (Buffer.byteLength(password) > maxPasswordLength) {
        throw new CommandError(
          `the password must not have more than ${maxPasswordLength} bytes: bcrypt looks at no more`,
        );
      }
      if (password.startsWith(accessTokenFront)) {
        throw new CommandError(`the password must not begin with ${accessTokenFront}, as access tokens do`);
      }
      const hash = await hashPassword(password, cost);
      // Read again: others may have changed it while the password was typed.
      const text = await readOrEmpty(file);
      const { found } = withoutUser(text, user);
      await replaceFile(file, withUser(text, user, hash));
      console.log(`${found ? 'changed the password of' : 'added'} ${user}`);
    });

  htpasswd
    .command('remove')
    .argument('<file>', 'the password file')
    .argument('<user>', 'the user', parseUser)
    .summary('remove a user')
    .action(async (file: string, user: string) => {
      const { text, found } = withoutUser(await readFile(file, 'utf8'), user);
      if (!found) throw new CommandError(`there is no user ${user} in ${file}`);
      await replaceFile(file, text);
      console.log(`removed ${user}`);
    });

  htpasswd
    .command('verify')
    .argument('<file>', 'the password file')
    .argument('<user>', 'the user', parseUser)
    .summary('check a password; exits with 1 when it is wrong')
    .action(async (file: string, user: string) => {
      const { hashes, warnings } = parseHtpasswd(await readFile(file, 'utf8'));
      for (const warning of warnings) console.error(`warning: ${warning}`);
      const hash = hashes.get(user);
      if (hash === undefined) throw new CommandError(`there is no user ${user} with a bcrypt hash in ${file}`);
      if (!(await new Bcrypt().verify(await readPassword({ repeat: false }), hash)))
        throw new CommandError('wrong password');
      console.log('right password');
    });
}

function parseUser(text: string): string {
  if (/^[^:\s\p{Cc}#][^:\p{Cc}]*$/u.test(text) && text.length <= 255) return text;
  throw new InvalidArgumentError('a user must have a name without colons');
}

function parseCost(text: string): number {
  const cost = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (cost >= 4 && cost <= 17) return cost;
  throw new InvalidArgumentError('must be a number from 4 to 17');
}

/** Made by root it could be read by root only: it is the registry's user who has to. */
async function ownerOfNew(file: string): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [, uid, gid] = /^(\d+):(\d+)$/.exec(process.env.BERTH_USER ?? '') ?? [];
  return uid === undefined ? stat(dirname(file)) : { uid: Number(uid), gid: Number(gid) };
}

async function readOrEmpty(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  });
}

/** At once, so that a running registry never reads half of it; owner and mode stay, and so do links to it. */
async function replaceFile(path: string, text: string): Promise<void> {
  const file = await realpath(path).catch(() => path);
  await stat(dirname(file)).catch(() => {
    throw new CommandError(`there is no folder ${dirname(file)}; make it first`);
  });
  const before = await stat(file).catch(() => undefined);
  const fresh = join(dirname(file), `.htpasswd-${randomUUID()}`);
  try {
    const handle = await open(fresh, 'wx', 0o640);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (before !== undefined) await chmod(fresh, before.mode & 0o777);
    const owner = before ?? (await ownerOfNew(file));
    if (owner !== undefined) await chown(fresh, owner.uid, owner.gid);
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    if (error instanceof Error && 'code' in error && error.code === 'EBUSY') {
      throw new CommandError(`${file} is mounted by itself and cannot be replaced; mount its folder instead`);
    }
    throw error;
  }
}
