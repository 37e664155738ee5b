import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { isPathSegment, type ListOptions, type StorageEntry, StorageError } from '../driver.ts';
import { type Fingerprint, fingerprint, isSettled, isUnchanged, statNow } from './content-cache.ts';
import { driverName, isMissing, storageFault } from './errors.ts';
import * as io from './io.ts';
import { locksFolder, privateFolder, stagingFolder } from './staging.ts';

/**
 * Names that all cached listings hold together; one takes 100–150 bytes. A listing counts for at most half of it, so
 * that the largest folders, which cost most to read, are kept too: two of them at a time, however long.
 */
const defaultCapacity = 100_000;

/** Entries that are fetched from the kernel at once. */
const readSize = 1024;

interface Listing extends Fingerprint {
  readonly entries: readonly StorageEntry[];
}

/** A folder that is being read. */
interface Load {
  readonly entries: Promise<readonly StorageEntry[]>;
  /** For all who asked after it had begun: it may have passed by what came just before they asked. */
  next: Promise<readonly StorageEntry[]> | undefined;
}

/**
 * Sorted listings of folders. One is good as long as the folder's time stamps have not moved since before it was read
 * (every entry that comes or goes moves them) and had settled then; so a page costs one stat and a binary search,
 * however long the listing is.
 *
 * A file system gives names in no order: the first page of a folder that changed reads and sorts all of it. One read of
 * a folder runs at a time; who asks meanwhile waits for it, and then for a proof that it is still good or one more read.
 */
export class Listings {
  readonly #root: string;
  readonly #cache: LRUCache<string, Listing>;
  readonly #loads = new Map<string, Load>();

  constructor(root: string, capacity: number = defaultCapacity) {
    this.#root = root;
    this.#cache = new LRUCache({
      maxSize: capacity,
      sizeCalculation: (listing) => Math.min(listing.entries.length + 1, Math.floor(capacity / 2)),
    });
  }

  async *list(path: string, options: ListOptions = {}): AsyncGenerator<StorageEntry, void, undefined> {
    const { after, signal } = options;
    signal?.throwIfAborted();
    const entries = await this.#entries(path);
    const first = after === undefined ? 0 : firstBehind(entries, after);
    for (let index = first; index < entries.length; index += 1) {
      const entry = entries[index];
      signal?.throwIfAborted();
      if (entry !== undefined) yield entry;
    }
  }

  async #entries(path: string): Promise<readonly StorageEntry[]> {
    const folder = this.#root + path;
    try {
      const known = this.#cache.get(folder);
      // Synchronous for the reason that ContentCache gives.
      const now = known === undefined ? undefined : statNow(folder);
      if (known !== undefined && now !== undefined && isUnchanged(known, now)) return known.entries;
      return await this.#load(path);
    } catch (error) {
      if (isMissing(error)) {
        this.#cache.delete(folder);
        return [];
      }
      throw storageFault(error, path);
    }
  }

  #load(path: string): Promise<readonly StorageEntry[]> {
    const running = this.#loads.get(path);
    if (running !== undefined) {
      const retry = () => this.#entries(path);
      running.next ??= running.entries.then(retry, retry);
      return running.next;
    }
    const entries = this.#read(path).finally(() => this.#loads.delete(path));
    this.#loads.set(path, { entries, next: undefined });
    return entries;
  }

  async #read(path: string): Promise<readonly StorageEntry[]> {
    const folder = this.#root + path;
    const now = Date.now();
    const stats = await io.stat(folder);
    const directory = await opendir(folder, { bufferSize: readSize });
    const entries: StorageEntry[] = [];
    const links: string[] = [];
    for await (const entry of directory) {
      if (!isListed(path, entry)) continue;
      if (entry.isDirectory()) entries.push({ name: entry.name, kind: 'folder' });
      else if (entry.isFile()) entries.push({ name: entry.name, kind: 'object' });
      else links.push(entry.name);
    }
    for (const name of links) {
      const entry = await this.#follow(`${path}/${name}`, name);
      if (entry !== undefined) entries.push(entry);
    }
    // All names are ASCII, so the order of their UTF-16 units is that of their bytes.
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    // What a link leads to may change without a trace in this folder.
    if (links.length === 0 && isSettled(stats, now)) this.#cache.set(folder, { ...fingerprint(stats), entries });
    else this.#cache.delete(folder);
    return entries;
  }

  /** What a symbolic link leads to, or what is there when the file system does not tell types. */
  async #follow(path: string, name: string): Promise<StorageEntry | undefined> {
    const file = this.#root + path;
    let stats: Stats;
    try {
      stats = await io.stat(file);
    } catch (error) {
      if (!isMissing(error)) throw storageFault(error, path);
      // Deleted since the folder was read, or a link that leads nowhere. To leave the latter out would make content
      // on a volume that is not mounted look deleted.
      const link = await lstat(file).catch(() => undefined);
      if (link === undefined) return undefined;
      throw new StorageError('STORAGE_FAULT', driverName, path, 'a symbolic link to something that does not exist', {
        cause: error,
      });
    }
    if (stats.isDirectory()) return { name, kind: 'folder' };
    return stats.isFile() && !name.endsWith('.tmp') ? { name, kind: 'object' } : undefined;
  }
}

/** Leaves out names that cannot be a segment, temporary files (a folder may well be called `x.tmp`), and our own. */
function isListed(path: string, entry: Dirent): boolean {
  const { name } = entry;
  if (!isPathSegment(name)) return false;
  if (path === privateFolder && (name === stagingFolder || name === locksFolder)) return false;
  return !(name.endsWith('.tmp') && entry.isFile());
}

function firstBehind(entries: readonly StorageEntry[], name: string): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && entry.name <= name) low = middle + 1;
    else high = middle;
  }
  return low;
}
