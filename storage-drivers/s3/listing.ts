import { isPathSegment, type ListOptions, type StorageEntry } from '../driver.ts';
import type { Bucket } from './bucket.ts';

/** Names that the server is asked for at a time: what it gives at most, and for whom wants few, a little more than that. */
const maxPage = 1000;
const spare = 10;

/** What one answer of the server has, without the prefix. */
interface ListedPage {
  readonly objects: readonly string[];
  /** Each with a slash behind it. */
  readonly folders: readonly string[];
  /** The last of both, in the order of keys. */
  readonly last: string;
  /** Leads to the next page. */
  readonly token: string | undefined;
}

/**
 * The names below a prefix in byte order of the name.
 *
 * The server orders by key, where a folder ends in a slash: `app-extra/` comes before `app/`, though `app` comes before
 * `app-extra`. So when a page ends among the names that begin with `app-`, the next page is looked at for a folder `app`,
 * or, where nobody wants the next page yet or it ends before, the server is asked.
 */
export async function* listNames(
  bucket: Bucket,
  path: string,
  { after, limit, signal }: ListOptions = {},
): AsyncGenerator<StorageEntry> {
  /** Folders that were given before their turn in the order of keys. */
  const given = new Set<string>();

  async function read(size: number, token?: string): Promise<ListedPage> {
    const from = token === undefined ? after !== undefined && { after } : { token };
    return readPage(bucket, path, { size, ...from }, signal);
  }

  let page: ListedPage | undefined = await read(Math.min(maxPage, limit === undefined ? maxPage : limit + spare));
  let left = limit ?? Number.POSITIVE_INFINITY;
  while (page !== undefined) {
    const current: ListedPage = page;
    const { objects, folders, token, last } = current;
    const enough: boolean = left > 0 && objects.length + folders.length > left;
    let next: ListedPage | undefined = token === undefined || enough ? undefined : await read(maxPage, token);
    const entries = new Map<string, StorageEntry['kind']>();
    for (const name of objects) entries.set(name, 'object');
    for (const folder of folders) if (!given.has(folder)) entries.set(folder.slice(0, -1), 'folder');
    if (token !== undefined) {
      const unknown = namesBefore(last).filter(
        (name) => !(entries.has(name) || given.has(`${name}/`) || (after !== undefined && name <= after)),
      );
      for (const name of await foldersAmong(bucket, path, unknown, signal, next)) {
        entries.set(name, 'folder');
        given.add(`${name}/`);
      }
    }
    for (const name of [...entries.keys()].sort()) {
      if (after !== undefined && name <= after) continue;
      left -= 1;
      if (isPathSegment(name)) yield { name, kind: entries.get(name) ?? 'object' };
    }
    if (token !== undefined) next ??= await read(maxPage, token);
    page = next;
  }
}

/**
 * Which of these names are folders. Most often they are `app-a-b`, `app-a` and `app`, which may be as many as a name has
 * characters: so what lies behind the first of them, in the order of keys, tells of the others that it reaches.
 *
 * @param known a page that reaches some of them: what is behind its first key
 */
export async function foldersAmong(
  bucket: Bucket,
  path: string,
  names: readonly string[],
  signal: AbortSignal | undefined,
  known?: ListedPage,
): Promise<string[]> {
  const found: string[] = [];
  let left = names.map((name) => `${name}/`).sort();
  const look = (page: ListedPage) => {
    const reached = left.filter((folder) => page.token === undefined || folder <= page.last);
    left = left.slice(reached.length);
    for (const folder of reached) if (page.folders.includes(folder)) found.push(folder.slice(0, -1));
  };
  if (known !== undefined) look(known);
  while (left.length > 1) {
    const [folder = ''] = left;
    const before = left.length;
    // A slash comes next to a dot, and behind that names have ASCII only.
    look(await readPage(bucket, path, { after: `${folder.slice(0, -1)}.\u00ff`, size: maxPage }, signal));
    if (left.length === before) break;
  }
  for (const folder of left) {
    const { objects } = await bucket.list(
      path,
      { prefix: `${bucket.keyOf(path)}/${folder}`, 'max-keys': '1' },
      { signal },
    );
    if (objects.length > 0) found.push(folder.slice(0, -1));
  }
  return found;
}

interface PageOptions {
  readonly size: number;
  /** Without a slash in it: servers differ in what a place within a folder means. */
  readonly after?: string;
  readonly token?: string;
}

async function readPage(
  bucket: Bucket,
  path: string,
  { size, after, token }: PageOptions,
  signal: AbortSignal | undefined,
): Promise<ListedPage> {
  const prefix = `${bucket.keyOf(path)}/`;
  const from =
    token === undefined ? after !== undefined && { 'start-after': prefix + after } : { 'continuation-token': token };
  const query = { prefix, delimiter: '/', 'max-keys': String(size), ...from } as const;
  const page = await bucket.list(path, query, { signal });
  const objects = page.objects.map(({ key }) => key.slice(prefix.length));
  const folders = page.prefixes.map((folder) => folder.slice(prefix.length));
  const last = [objects.at(-1) ?? '', folders.at(-1) ?? ''].sort().at(-1) ?? '';
  return { objects, folders, last, token: page.next };
}

/** The names that come before a key, while a folder of that name would come after it: `app` and `app-a` of `app-a.b/`. */
function namesBefore(key: string): string[] {
  const names: string[] = [];
  for (let index = 1; index < key.length; index += 1) {
    if ('+-.'.includes(key.charAt(index))) names.push(key.slice(0, index));
  }
  return names;
}
