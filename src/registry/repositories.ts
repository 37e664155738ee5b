import { setImmediate } from 'node:timers/promises';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { type RepositoryName, tryParseRepositoryName } from '../oci/name.ts';
import { ahead } from './ahead.ts';
import { layout } from './layout.ts';
import { exists } from './links.ts';
import type { PageOptions } from './registry.ts';

/** The folders that make a folder a repository: distribution 3 looks for the first, distribution 2 for the second. */
export const contentFolders = ['_manifests', '_layers'] as const;

/** Names between two pauses of a walk: about a millisecond. */
const pauseEvery = 128;

/** Folders that are looked into at a time. */
const lookAhead = 32;

/** Children that are remembered of a folder until it is its turn; those of one with more are listed again. */
const rememberedChildren = 100;

/** From so many folders on it is asked which of them there are, before they are looked into. */
const manyPassed = 3;

/** What is known of a folder of repositories. */
interface Folder {
  /** Ends with a slash: the names of the repositories below begin with it. */
  readonly key: string;
  /** The folders in it, in order; undefined: not known. */
  readonly children?: readonly string[] | undefined;
}

/**
 * The repositories below a folder in byte order of their full names, behind `after`: `a`, then `a-b`, then `a/b`.
 *
 * Folders are listed by bare name, so a folder's own children must wait until all its neighbours that sort before
 * `name/` are through (`a-b` comes before `a/b`, as `-` and `.` are smaller than `/`). They wait on a stack: a neighbour
 * that is pushed while another one waits has that one's name as a prefix, so its own children come first.
 *
 * Each folder is listed once: that tells both whether it is a repository and what is below it.
 *
 * @param holds a folder is a repository when it has one of these
 * @param admits whether to look at a path and at what is below it
 */
export async function* walkRepositories(
  driver: StorageDriver,
  options: PageOptions = {},
  holds: readonly string[] = contentFolders,
  admits: (path: string) => boolean = () => true,
): AsyncGenerator<RepositoryName> {
  const { signal } = options;
  let seen = 0;
  yield* walk({ key: '' }, options.after);

  async function* walk({ key: prefix, children }: Folder, after: string | undefined): AsyncGenerator<RepositoryName> {
    const first = after?.slice(prefix.length).split('/', 1)[0] ?? '';
    const stack: Folder[] = (await passed(prefix, first)).map((name) => ({ key: `${prefix}${name}/` }));
    const names = children?.filter((name) => name > first) ?? foldersIn(prefix, first);
    for await (const { item, result } of ahead(names, lookAhead, (name) => look(prefix + name))) {
      // Everything may come from memory: without a pause, a walk over many names would let nobody else run.
      if (++seen % pauseEvery === 0) await setImmediate();
      const name = prefix + item;
      for (let top = stack.at(-1); top !== undefined && top.key < name; top = stack.at(-1)) {
        stack.pop();
        yield* descend(top, after);
      }
      if (result === undefined) continue;
      if (result.isRepository && (after === undefined || name > after)) yield result.name;
      if (result.children?.length !== 0) stack.push({ key: `${name}/`, children: result.children });
    }
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) yield* descend(top, after);
  }

  async function* descend(folder: Folder, after: string | undefined): AsyncGenerator<RepositoryName> {
    if (after?.startsWith(folder.key)) yield* walk(folder, after);
    else if (after === undefined || folder.key > after) yield* walk(folder, undefined);
  }

  /** The folders that `after` has already passed by bare name, while they may still have children behind it. */
  async function passed(prefix: string, first: string): Promise<string[]> {
    const names = [...prefixesOf(first), first].filter((name) => tryParseRepositoryName(prefix + name) !== undefined);
    if (driver.folders === undefined || names.length < manyPassed) return names;
    const found = new Set(await driver.folders(folderOf(prefix), names, signal && { signal }));
    return names.filter((name) => found.has(name));
  }

  async function* foldersIn(prefix: string, after: string): AsyncGenerator<string> {
    for await (const entry of driver.list(folderOf(prefix), {
      ...(after !== '' && { after }),
      ...(signal && { signal }),
    })) {
      if (entry.kind === 'folder' && !entry.name.startsWith('_')) yield entry.name;
    }
  }

  async function look(path: string) {
    const name = admits(path) ? tryParseRepositoryName(path) : undefined;
    if (name === undefined) return undefined;
    let isRepository = false;
    const children: string[] = [];
    const page = { limit: rememberedChildren, ...(signal && { signal }) };
    for await (const entry of driver.list(layout.repository(name), page)) {
      if (entry.kind !== 'folder') continue;
      if (holds.includes(entry.name)) isRepository = true;
      if (!entry.name.startsWith('_') && children.push(entry.name) > rememberedChildren) {
        // What makes it a repository may come later in the listing.
        return { name, isRepository: isRepository || (await isHeld(driver, name, holds)), children: undefined };
      }
    }
    return { name, isRepository, children };
  }
}

/** @param prefix empty, or a name and a slash */
function folderOf(prefix: string): string {
  return prefix === '' ? layout.repositories : layout.repository(prefix.slice(0, -1));
}

/** The proper prefixes of a name that sort before it while their children sort behind it: `a` and `a-b` of `a-b.c`. */
function prefixesOf(name: string): string[] {
  const prefixes: string[] = [];
  for (let index = 1; index < name.length; index++) {
    if (name[index] === '-' || name[index] === '.') prefixes.push(name.slice(0, index));
  }
  return prefixes;
}

async function isHeld(driver: StorageDriver, name: string, holds: readonly string[]): Promise<boolean> {
  for (const folder of holds) if (await exists(driver, `${layout.repository(name)}/${folder}`)) return true;
  return false;
}
