import { isPathSegment, type ListOptions, type StorageEntry } from '../driver.ts';
import type { Bucket } from './bucket.ts';

/** Names that the server is asked for at a time: what it gives at most, and for whom wants few, a little more than that. */
const maxPage = 1000;
const spare = 10;

/**
 * The names below a prefix in byte order of the name.
 *
 * The server orders by key, where a folder ends in a slash: `app-extra/` comes before `app/`, though `app` comes before
 * `app-extra`. So when a page ends among the names that begin with `app-`, it is asked whether there is a folder `app`.
 */
export async function* listNames(
  bucket: Bucket,
  path: string,
  { after, limit, signal }: ListOptions = {},
): AsyncGenerator<StorageEntry> {
  const prefix = `${bucket.keyOf(path)}/`;
  /** Folders that were given before their turn in the order of keys. */
  const given = new Set<string>();
  let token: string | undefined;
  let size = Math.min(maxPage, limit === undefined ? maxPage : limit + spare);
  do {
    const page = await bucket.list(
      path,
      {
        Prefix: prefix,
        Delimiter: '/',
        MaxKeys: size,
        // Without a slash behind it: servers differ in what a place within a folder means.
        ...(token === undefined ? after !== undefined && { StartAfter: prefix + after } : { ContinuationToken: token }),
      },
      { signal },
    );
    const objects = (page.Contents ?? []).map(({ Key = '' }) => Key.slice(prefix.length));
    const folders = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix.slice(prefix.length));
    token = page.IsTruncated ? page.NextContinuationToken : undefined;
    size = maxPage;

    const entries = new Map<string, StorageEntry['kind']>();
    for (const name of objects) entries.set(name, 'object');
    for (const folder of folders) if (!given.has(folder)) entries.set(folder.slice(0, -1), 'folder');
    if (token !== undefined) {
      const last = [objects.at(-1) ?? '', folders.at(-1) ?? ''].sort().at(-1) ?? '';
      for (const name of namesBefore(last)) {
        const folder = `${name}/`;
        if (entries.has(name) || given.has(folder) || (after !== undefined && name <= after)) continue;
        const { Contents } = await bucket.list(path, { Prefix: prefix + folder, MaxKeys: 1 }, { signal });
        if (!Contents?.length) continue;
        entries.set(name, 'folder');
        given.add(folder);
      }
    }
    for (const name of [...entries.keys()].sort()) {
      if (after !== undefined && name <= after) continue;
      if (isPathSegment(name)) yield { name, kind: entries.get(name) ?? 'object' };
    }
  } while (token !== undefined);
}

/** The names that come before a key, while a folder of that name would come after it: `app` and `app-a` of `app-a.b/`. */
function namesBefore(key: string): string[] {
  const names: string[] = [];
  for (let index = 1; index < key.length; index += 1) {
    if ('+-.'.includes(key.charAt(index))) names.push(key.slice(0, index));
  }
  return names;
}
