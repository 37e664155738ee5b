import { constants, fstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { PathNotFoundError, StorageError } from '../driver.ts';
import { statNow } from './content-cache.ts';
import { driverName, errnoOf, isMissing } from './errors.ts';
import { makeFolders, maxAttempts, syncFolder } from './folders.ts';
import * as io from './io.ts';
import { publish, relocate, type StagedFile } from './publish.ts';
import type { StagingArea } from './staging.ts';

/** Where the bytes of a writer go. The writer closes `fd`, after the one of the other calls that it makes. */
export interface Destination {
  /** Appends. */
  readonly fd: number;
  /** Bytes that were there before. */
  readonly kept: number;
  /** Tells the file from every other one that has its path before or after. */
  readonly identity: string;
  /** Throws unless the file holds that many bytes, and is the one that was opened. */
  verify(size: number): Promise<void>;
  /** Makes the bytes durable under the writer's own path. */
  keep(): Promise<void>;
  /** Makes what precedes visible, and then the bytes under another path; all of it durably. */
  commit(target: string, preceding: readonly StagedFile[]): Promise<void>;
  /** Removes the bytes, also those that were there before. */
  drop(): Promise<void>;
  /** Called when `keep` or `commit` cannot be: removes what nobody could ever find again. */
  abandon(): Promise<void>;
}

/**
 * The object's own file, as distribution has it for uploads: what is kept there is what any later writer goes on with.
 *
 * @param create whether to make the file where there is none
 */
export async function openAppended(
  area: StagingArea,
  file: string,
  path: string,
  create: boolean,
): Promise<Destination> {
  const fd = await (create ? openForAppend(file) : io.open(file, constants.O_WRONLY | constants.O_APPEND));
  const { size: kept, ino, birthtimeMs } = fstatSync(fd);
  return {
    fd,
    kept,
    identity: `${ino}.${birthtimeMs}`,
    async verify(size) {
      // Synchronous: the file is open, so the kernel has its inode in memory.
      const found = statNow(file);
      if (found === undefined) throw new PathNotFoundError(driverName, path);
      if (found.ino === ino && found.size === size) return;
      const message = `has ${found.size} bytes instead of ${size}: another program has written to it`;
      throw new StorageError('STORAGE_FAULT', driverName, path, message);
    },
    async keep() {
      await Promise.all([io.fdatasync(fd), syncFolder(dirname(file))]);
    },
    async commit(target, preceding) {
      const place = async () => (target === file ? dirname(file) : relocate(file, target));
      await publish(area, preceding, true, { settle: () => io.fdatasync(fd), place });
    },
    async drop() {
      await io.unlink(file).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
    },
    abandon: async () => undefined,
  };
}

async function openForAppend(file: string): Promise<number> {
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await io.open(file, flags);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || attempt === maxAttempts) throw error;
    }
    await makeFolders(dirname(file));
  }
}

/** A file in the staging area, which nobody sees until it replaces the object. */
export async function openStaged(area: StagingArea, file: string): Promise<Destination> {
  const { path: staged, fd } = await area.create(
    constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL,
  );
  const commit = (target: string, preceding: readonly StagedFile[]) =>
    publish(
      area,
      [...preceding, { target, create: (path) => io.rename(staged, path), settle: () => io.fdatasync(fd) }],
      true,
    );
  const discard = () => area.discard(staged);
  return {
    fd,
    kept: 0,
    identity: '',
    verify: async () => undefined,
    keep: () => commit(file, []),
    commit,
    drop: discard,
    abandon: discard,
  };
}
