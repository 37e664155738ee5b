import { closeSync, constants, type Stats } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LRUCache } from 'lru-cache';
import {
  type CheckOptions,
  type DeleteOptions,
  type GetOptions,
  InvalidOffsetError,
  type KeptOptions,
  type KeptStat,
  type ListOptions,
  ObjectTooLargeError,
  PathNotFoundError,
  type PutOptions,
  type RangeOptions,
  type ReadOptions,
  type StorageDriver,
  type StorageEntry,
  type StorageObject,
  type StorageReader,
  type StorageStat,
  type StorageWriter,
  type WriterOptions,
} from '../driver.ts';
import { checkRoot, checkRootWritable } from './check.ts';
import { ContentCache, maxCachedSize, statNow } from './content-cache.ts';
import { openAppended, openStaged } from './destination.ts';
import { driverName, isMissing, storageFault } from './errors.ts';
import { syncFolder } from './folders.ts';
import * as io from './io.ts';
import { Listings } from './listing.ts';
import { openObject, readContent } from './object.ts';
import type { FilesystemOptions } from './options.ts';
import { publish, relocate, type StagedFile } from './publish.ts';
import { contentReader, FileReader } from './reader.ts';
import { remove } from './removal.ts';
import { StagingArea } from './staging.ts';
import { FilesystemWriter } from './writer.ts';
import { type LockTimes, WriterLocks } from './writer-lock.ts';

/** Paths whose inodes the kernel probably has in memory. */
const recentPaths = 32_768;

/** What only tests set. */
export interface FilesystemInternals {
  lockTimes?: LockTimes;
}

/** Objects as files of the same path below a folder, as CNCF distribution keeps them. Does no I/O yet. */
export function createFilesystemDriver(options: FilesystemOptions, internals: FilesystemInternals = {}): StorageDriver {
  return new FilesystemDriver(resolve(options.rootdirectory), internals);
}

class FilesystemDriver implements StorageDriver {
  readonly name = driverName;
  /** Followed by the path of an object, the path of its file. */
  readonly #root: string;
  readonly #area: StagingArea;
  readonly #locks: WriterLocks;
  readonly #contents = new ContentCache();
  readonly #listings: Listings;
  readonly #recent = new LRUCache<string, true>({ max: recentPaths });

  constructor(root: string, internals: FilesystemInternals) {
    this.#root = root === '/' ? '' : root;
    this.#area = new StagingArea(this.#root);
    this.#locks = new WriterLocks(this.#root, internals.lockTimes);
    this.#listings = new Listings(this.#root);
  }

  async get(path: string, { maxSize = Number.POSITIVE_INFINITY, signal }: GetOptions = {}): Promise<Buffer> {
    signal?.throwIfAborted();
    const file = this.#root + path;
    try {
      const cached = this.#contents.get(file);
      if (cached !== undefined) {
        if (cached.length > maxSize) throw new ObjectTooLargeError(driverName, path, cached.length);
        return cached;
      }
      const object = await openObject(file, path);
      if (object.stats.size > maxSize) {
        closeSync(object.fd);
        throw new ObjectTooLargeError(driverName, path, object.stats.size);
      }
      return await readContent(file, object, this.#contents);
    } catch (error) {
      throw storageFault(error, path);
    }
  }

  put(path: string, content: Uint8Array, options?: PutOptions): Promise<void> {
    return this.putAll([{ path, content }], options);
  }

  async putAll(objects: readonly StorageObject[], options?: PutOptions): Promise<void> {
    const { durable = true, secret = false } = options ?? {};
    try {
      await this.#withStaged(objects, { durable, secret }, (files) => publish(this.#area, files, durable));
    } catch (error) {
      throw storageFault(error, objects[0]?.path ?? '/');
    }
  }

  async reader(path: string, options: RangeOptions = {}): Promise<StorageReader> {
    const { start = 0, end = Number.POSITIVE_INFINITY, signal } = options;
    signal?.throwIfAborted();
    const file = this.#root + path;
    try {
      const cached = this.#contents.get(file);
      if (cached !== undefined) return rangeOf(cached, path, start, end);
      const object = await openObject(file, path);
      if (object.stats.size <= maxCachedSize) {
        return rangeOf(await readContent(file, object, this.#contents), path, start, end);
      }
      try {
        signal?.throwIfAborted();
        const size = rangeSize(path, object.stats.size, start, end);
        return new FileReader({ fd: object.fd, path, start, size }, signal);
      } catch (error) {
        closeSync(object.fd);
        throw error;
      }
    } catch (error) {
      throw storageFault(error, path);
    }
  }

  async writer(path: string, { append = false, marker }: WriterOptions = {}): Promise<StorageWriter> {
    const file = this.#root + path;
    try {
      const lock = await this.#locks.acquire(path);
      try {
        if (marker !== undefined) await this.#mustExist(marker);
        const destination = await (append
          ? openAppended(this.#area, file, path, marker === undefined)
          : openStaged(this.#area, file));
        const relock = () => this.#locks.acquire(path);
        return new FilesystemWriter({
          path,
          destination,
          lock,
          relock,
          fileOf: (other) => this.#root + other,
          readKept: () => this.reader(path, { end: destination.kept - 1 }),
          withStaged: (objects, run) => this.#withStaged(objects, { durable: true, secret: false }, run),
        });
      } catch (error) {
        await lock.release();
        throw error;
      }
    } catch (error) {
      throw storageFault(error, path);
    }
  }

  /** The empty file vanishes when it is committed: whoever dies right behind that leaves a marker that stands for nothing. */
  begin(path: string, marker: StorageObject): Promise<void> {
    return this.putAll([marker, { path, content: Buffer.alloc(0) }], { durable: false });
  }

  async kept(path: string, { marker, signal }: KeptOptions = {}): Promise<KeptStat> {
    signal?.throwIfAborted();
    try {
      if (marker !== undefined) await this.#mustExist(marker);
      const stats = await this.#stat(this.#root + path);
      if (stats?.isFile()) return { size: stats.size, modified: stats.size === 0 ? undefined : stats.mtime };
    } catch (error) {
      throw storageFault(error, path);
    }
    throw new PathNotFoundError(driverName, path);
  }

  async stat(path: string, options?: ReadOptions): Promise<StorageStat> {
    options?.signal?.throwIfAborted();
    try {
      const stats = await this.#stat(this.#root + path);
      if (stats?.isFile()) return { kind: 'object', size: stats.size, modified: stats.mtime };
      if (stats?.isDirectory()) return { kind: 'folder', size: 0, modified: stats.mtime };
    } catch (error) {
      throw storageFault(error, path);
    }
    throw new PathNotFoundError(driverName, path);
  }

  list(path: string, options?: ListOptions): AsyncIterable<StorageEntry> {
    return this.#listings.list(path, options);
  }

  async delete(path: string, options?: DeleteOptions): Promise<void> {
    try {
      await remove(this.#area, this.#root + path, options?.durable ?? true);
    } catch (error) {
      throw isMissing(error) ? new PathNotFoundError(driverName, path, { cause: error }) : storageFault(error, path);
    }
  }

  async move(from: string, to: string): Promise<Date | undefined> {
    const [source, target] = [this.#root + from, this.#root + to];
    try {
      const before = await io.stat(source);
      if (!before.isFile()) throw new PathNotFoundError(driverName, from);
      await syncFolder(await relocate(source, target));
      const after = await io.stat(target);
      // Only if nobody has put anything there meanwhile; who is about to makes the folder again.
      await rmdir(dirname(source)).catch(() => undefined);
      // Between two file systems it was copied.
      return after.dev === before.dev ? after.mtime : undefined;
    } catch (error) {
      throw isMissing(error) ? new PathNotFoundError(driverName, from, { cause: error }) : storageFault(error, from);
    }
  }

  async check({ write = false, signal }: CheckOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    // A file system that hangs (a network one, as a rule) must not make the caller hang.
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    const root = this.#root === '' ? '/' : this.#root;
    await Promise.race([write ? checkRootWritable(root, this.#area) : checkRoot(root), aborted]);
  }

  async close(): Promise<void> {
    await Promise.all([this.#area.close(), this.#locks.close()]);
  }

  /** Runs `run` with a file for each object, to be made in the staging area and filled there. */
  async #withStaged(
    objects: readonly StorageObject[],
    { durable, secret }: Required<PutOptions>,
    run: (files: readonly StagedFile[]) => Promise<void>,
  ): Promise<void> {
    // A write that returns when its bytes are on the disk saves a call of its own for the sync.
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | (durable ? constants.O_DSYNC : 0);
    const fds: number[] = [];
    const files = objects.map(({ path, content }): StagedFile => {
      let fd: number;
      return {
        target: this.#root + path,
        async create(staged) {
          fd = await io.open(staged, flags, secret ? 0o600 : undefined);
          fds.push(fd);
        },
        settle: () => io.writeAll(fd, [content]),
      };
    });
    try {
      await run(files);
    } finally {
      for (const fd of fds) closeSync(fd);
    }
  }

  async #mustExist(path: string): Promise<void> {
    if (!(await this.#stat(this.#root + path))?.isFile()) throw new PathNotFoundError(driverName, path);
  }

  /** Synchronous where that is cheap (see ContentCache): for what was asked for lately. */
  async #stat(file: string): Promise<Stats | undefined> {
    if (this.#recent.get(file)) return statNow(file);
    this.#recent.set(file, true);
    return await io.stat(file).catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
  }
}

/** @throws InvalidOffsetError */
function rangeSize(path: string, size: number, start: number, end: number): number {
  if (!(start >= 0 && start <= size)) throw new InvalidOffsetError(driverName, path, start);
  return Math.max(0, Math.min(end, size - 1) - start + 1);
}

function rangeOf(content: Buffer, path: string, start: number, end: number): StorageReader {
  return contentReader(content.subarray(start, start + rangeSize(path, content.length, start, end)));
}
