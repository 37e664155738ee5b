import { closeSync, constants, fstatSync, type Stats } from 'node:fs';
import { PathNotFoundError } from '../driver.ts';
import { type ContentCache, maxCachedSize } from './content-cache.ts';
import { driverName, isMissing } from './errors.ts';
import * as io from './io.ts';

/** Whoever gets one closes `fd`. */
export interface OpenObject {
  readonly fd: number;
  readonly stats: Stats;
  /** The time of day just before `stats` was taken, in milliseconds. */
  readonly now: number;
}

/**
 * Opens an object to read it.
 *
 * @throws PathNotFoundError also when it is a folder, or nothing that has content
 */
export async function openObject(file: string, path: string): Promise<OpenObject> {
  // O_NONBLOCK means nothing to files, but keeps a named pipe from holding a thread until somebody writes to it.
  const fd = await io.open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw isMissing(error) ? new PathNotFoundError(driverName, path, { cause: error }) : error;
  });
  const now = Date.now();
  const stats = fstatSync(fd);
  if (stats.isFile()) return { fd, stats, now };
  closeSync(fd);
  throw new PathNotFoundError(driverName, path);
}

/** Reads the whole object, closes it, and lets the cache keep it if it is small. */
export async function readContent(file: string, object: OpenObject, cache: ContentCache): Promise<Buffer> {
  const { size } = object.stats;
  try {
    // Memory of its own: a part of Node's shared pool would keep all of the pool while the cache holds it.
    const content = Buffer.allocUnsafeSlow(size);
    const length = await fill(object.fd, content, 0);
    // Shorter when another program cut the file meanwhile.
    if (length < size) return content.subarray(0, length);
    if (size <= maxCachedSize) cache.set(file, object.stats, object.now, content);
    return content;
  } finally {
    closeSync(object.fd);
  }
}

/** Fills `into` from `position` of the file on. @returns the bytes read: fewer only at the end of the file */
export async function fill(fd: number, into: Buffer, position: number): Promise<number> {
  let length = 0;
  while (length < into.length) {
    const count = await io.read(fd, into, length, into.length - length, position + length);
    if (count === 0) break;
    length += count;
  }
  return length;
}
