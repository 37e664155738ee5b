import fs, { type Stats } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { isMissing } from './errors.ts';

/** Larger objects are not kept. In bytes; links have 71, manifests and image configurations a few thousand. */
export const maxCachedSize = 64 * 1024;

/** In bytes, with what an entry costs beside its content (path, buffer, bookkeeping). */
const capacity = 16 * 1024 * 1024;
const entryOverhead = 512;

/**
 * How far time stamps may lag behind `Date.now()`, in milliseconds, with room to spare: the kernel takes them from a
 * clock that moves every 1–10 ms.
 */
const fineGrain = 50;
/** Where they are whole seconds (ext3, ext4 with small inodes), or even ones (FAT). */
const coarseGrain = 2100;

/** What tells one state of a file or folder from another. */
export interface Fingerprint {
  readonly ino: number;
  readonly size: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
}

export function fingerprint({ ino, size, mtimeMs, ctimeMs }: Stats): Fingerprint {
  return { ino, size, mtimeMs, ctimeMs };
}

export function isUnchanged(known: Fingerprint, now: Stats): boolean {
  return (
    known.ctimeMs === now.ctimeMs && known.mtimeMs === now.mtimeMs && known.ino === now.ino && known.size === now.size
  );
}

/**
 * Whether every change from now on will show in the time stamps. Just after a change it may not: a second one within
 * the same tick of the kernel's clock leaves the same stamps (git calls such an entry racily clean). What is read in
 * this time must not be kept.
 *
 * @param stats taken before the content is read
 * @param now the time of day before that, in milliseconds
 */
export function isSettled(stats: Pick<Stats, 'mtimeMs' | 'ctimeMs'>, now: number): boolean {
  const changed = Math.max(stats.mtimeMs, stats.ctimeMs);
  return now - changed > (changed % 1000 === 0 ? coarseGrain : fineGrain);
}

interface Entry extends Fingerprint {
  readonly content: Buffer;
}

/**
 * Small objects that were read lately. Other processes change files too, and in place, so a hit is proven each time
 * by one stat: the inode, size and both time stamps are those of the file that was read, and that file had settled.
 *
 * The stat is synchronous: what is cached here was read lately, so its inode is in the kernel's memory and the call
 * takes 1–2 µs; through the thread pool it takes 10–20 µs.
 */
export class ContentCache {
  readonly #entries = new LRUCache<string, Entry>({
    maxSize: capacity,
    sizeCalculation: (entry) => entry.content.length + entryOverhead,
  });

  /** The content of `file` as it is now, or undefined when it must be read. */
  get(file: string): Buffer | undefined {
    const entry = this.#entries.get(file);
    if (entry === undefined) return undefined;
    const now = statNow(file);
    if (now !== undefined && isUnchanged(entry, now)) return entry.content;
    this.#entries.delete(file);
    return undefined;
  }

  /** @param stats taken before `content` was read; @param now the time of day then, in milliseconds */
  set(file: string, stats: Stats, now: number, content: Buffer): void {
    // A file that others changed while it was read may have another length than it had.
    if (!isSettled(stats, now) || content.length !== stats.size) return;
    this.#entries.set(file, { ...fingerprint(stats), content });
  }
}

/** Synchronous; only for what the kernel is likely to have in memory. Undefined when it is missing. */
export function statNow(file: string): Stats | undefined {
  try {
    return fs.statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
