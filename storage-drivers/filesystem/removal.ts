import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from './errors.ts';
import { syncFolder } from './folders.ts';
import * as io from './io.ts';
import type { StagingArea } from './staging.ts';

/**
 * Deletes an object, or a folder with all that is below it. The latter disappears at one instant: it is renamed into
 * the staging area, and taken apart there.
 *
 * The folder above stays, even if nothing is left in it: distribution makes a folder and then a file in it, and fails
 * when somebody takes the folder away in between.
 *
 * @param durable whether the folder above is synced
 */
export async function remove(area: StagingArea, file: string, durable: boolean): Promise<void> {
  const sync = async () => (durable ? syncFolder(dirname(file)) : undefined);
  try {
    await io.unlink(file);
    await sync();
    return;
  } catch (error) {
    // Linux says EISDIR; POSIX, and so the BSDs, EPERM.
    const code = errnoOf(error);
    if (code !== 'EISDIR' && code !== 'EPERM') throw error;
    if (!(await io.stat(file)).isDirectory()) throw error;
  }
  let removed: string;
  try {
    removed = await area.take(file);
  } catch (error) {
    if (errnoOf(error) !== 'EXDEV') throw error;
    // Another file system is mounted below the root; there is no instant to be had.
    await rm(file, { recursive: true });
    await sync();
    return;
  }
  await sync();
  // It is out of sight; who does not wait for the disk need not wait for this either.
  if (durable) await area.discard(removed);
  else area.discardLater(removed);
}
