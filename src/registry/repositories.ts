import { setImmediate } from 'node:timers/promises';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { type RepositoryName, tryParseRepositoryName } from '../oci/name.ts';
import { layout } from './layout.ts';
import { exists } from './links.ts';
import type { PageOptions } from './registry.ts';

/** The folders that make a folder a repository: distribution 3 looks for the first, distribution 2 for the second. */
export const contentFolders = ['_manifests', '_layers'] as const;

/** Names between two pauses of a walk: about a millisecond. */
const pauseEvery = 128;

/**
 * The repositories below a folder in byte order of their full names, behind `after`: `a`, then `a-b`, then `a/b`.
 *
 * Folders are listed by bare name, so a folder's own children must wait until all its neighbours that sort before
 * `name/` are through (`a-b` comes before `a/b`, as `-` and `.` are smaller than `/`). They wait on a stack: a neighbour
 * that is pushed while another one waits has that one's name as a prefix, so its own children come first.
 *
 * @param holds a folder is a repository when it has one of these
 */
export async function* walkRepositories(
  driver: StorageDriver,
  options: PageOptions = {},
  holds: readonly string[] = contentFolders,
): AsyncGenerator<RepositoryName> {
  let seen = 0;
  yield* walk('', options.after);

  async function* walk(prefix: string, after: string | undefined): AsyncGenerator<RepositoryName> {
    const first = after?.slice(prefix.length).split('/', 1)[0] ?? '';
    // What `after` has already passed by bare name may still have children behind it.
    const passed = [...prefixesOf(first), first].map((name) => prefix + name);
    const stack = passed.filter((name) => tryParseRepositoryName(name) !== undefined).map((name) => `${name}/`);
    const folder = prefix === '' ? layout.repositories : layout.repository(prefix.slice(0, -1));
    const listing = driver.list(folder, {
      ...(first !== '' && { after: first }),
      ...(options.signal && { signal: options.signal }),
    });
    for await (const entry of listing) {
      // Everything may come from memory: without a pause, a walk over many names would let nobody else run.
      if (++seen % pauseEvery === 0) await setImmediate();
      if (entry.kind !== 'folder' || entry.name.startsWith('_')) continue;
      const name = prefix + entry.name;
      for (let top = stack.at(-1); top !== undefined && top < name; top = stack.at(-1)) {
        stack.pop();
        yield* descend(top, after);
      }
      const parsed = tryParseRepositoryName(name);
      if (parsed === undefined) continue;
      if ((after === undefined || name > after) && (await isRepository(driver, name, holds))) yield parsed;
      stack.push(`${name}/`);
    }
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) yield* descend(top, after);
  }

  async function* descend(key: string, after: string | undefined): AsyncGenerator<RepositoryName> {
    if (after?.startsWith(key)) yield* walk(key, after);
    else if (after === undefined || key > after) yield* walk(key, undefined);
  }
}

/** The proper prefixes of a name that sort before it while their children sort behind it: `a` and `a-b` of `a-b.c`. */
function prefixesOf(name: string): string[] {
  const prefixes: string[] = [];
  for (let index = 1; index < name.length; index++) {
    if (name[index] === '-' || name[index] === '.') prefixes.push(name.slice(0, index));
  }
  return prefixes;
}

async function isRepository(driver: StorageDriver, name: string, holds: readonly string[]): Promise<boolean> {
  for (const folder of holds) if (await exists(driver, `${layout.repository(name)}/${folder}`)) return true;
  return false;
}
