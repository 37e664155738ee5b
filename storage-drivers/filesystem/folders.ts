import { closeSync, constants } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, isMissing } from './errors.ts';
import * as io from './io.ts';

/** Some file systems (network and FUSE ones) have no fsync for folders; they order renames themselves, or not at all. */
const withoutFolderSync = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP']);

/** Others make and remove folders meanwhile; nobody removes the same one so often in a row. */
export const maxAttempts = 20;

/**
 * Makes the entries of a folder survive a power cut. What was renamed into it before this began is covered.
 *
 * Only the given folder is synced, not its ancestors: ext4, XFS, btrfs and ZFS write metadata in the order in which it
 * was changed, so that an entry never survives without the folders above it.
 */
export async function syncFolder(folder: string): Promise<void> {
  let fd: number;
  try {
    fd = await io.open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    // Somebody deleted the folder, and with it what this was to keep.
    if (isMissing(error)) return;
    throw error;
  }
  try {
    await io.fsync(fd);
  } catch (error) {
    if (!withoutFolderSync.has(errnoOf(error) ?? '')) throw error;
  } finally {
    closeSync(fd);
  }
}

export async function syncFolders(folders: Iterable<string>): Promise<void> {
  await Promise.all(Array.from(new Set(folders), syncFolder));
}

/** The topmost folder on the way to `folder` that does not exist, or undefined when `folder` exists. */
export async function firstMissing(folder: string): Promise<string | undefined> {
  let missing: string | undefined;
  for (let candidate = folder; ; candidate = dirname(candidate)) {
    try {
      await io.stat(candidate);
      return missing;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    missing = candidate;
    if (candidate === dirname(candidate)) return missing;
  }
}

/** Makes a folder and those above it. */
export async function makeFolders(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
}
