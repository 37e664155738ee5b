import { randomUUID } from 'node:crypto';
import { closeSync, constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from './errors.ts';
import { chain, firstMissing, makeFolders, maxAttempts, syncFolder, syncFolders } from './folders.ts';
import * as io from './io.ts';
import type { StagingArea } from './staging.ts';

/** The folder that was missing is there now, or the one that was there is gone. */
const foldersMoved = new Set(['EEXIST', 'ENOTEMPTY', 'ENOENT']);

/**
 * Gives a staged file its final name, replacing what has it. The object and the folders that it lacks become visible at
 * one instant, so that nobody ever sees `tags/x` without its link:
 *
 * 1. build the missing folders in the staging area, with the file in them,
 * 2. sync the file and those folders, all at once (a journal commits them together),
 * 3. rename the topmost of them (or the file alone, when no folder is missing) to its place,
 * 4. sync the folder that got the new entry.
 *
 * When it fails, nothing stays in the staging area.
 *
 * @param settle completes the file, durably if that is wanted; called once
 * @param durable whether folders are synced
 */
export async function publish(
  area: StagingArea,
  staged: string,
  target: string,
  settle: () => Promise<void>,
  durable: boolean,
): Promise<void> {
  const sync = durable ? syncFolder : async () => undefined;
  let settled: Promise<void> | undefined;
  let file = staged;
  let leftover = staged;
  try {
    for (let attempt = 1; ; attempt += 1) {
      const placement = await prepare(area, file, target);
      leftover = placement.from;
      settled ??= settle();
      await Promise.all([settled, ...placement.folders.map(sync)]);
      try {
        await io.rename(placement.from, placement.to);
      } catch (error) {
        const code = errnoOf(error) ?? '';
        if (code === 'EXDEV') {
          await copyAcross(placement.file, target, durable);
          await area.discard(leftover);
          return;
        }
        if (attempt === maxAttempts || !foldersMoved.has(code)) throw error;
        if (placement.file === placement.from) continue;
        file = area.newPath();
        await io.rename(placement.file, file);
        await area.discard(placement.from);
        leftover = file;
        continue;
      }
      await sync(dirname(placement.to));
      return;
    }
  } catch (error) {
    // The caller closes the descriptor next: nothing may still be writing to it.
    await settled?.catch(() => undefined);
    await area.discard(leftover);
    throw error;
  }
}

interface Placement {
  /** The rename that makes the object visible. */
  from: string;
  to: string;
  /** Where the file is until then: `from`, or below it. */
  file: string;
  /** The new folders, which must be synced before. */
  folders: string[];
}

async function prepare(area: StagingArea, file: string, target: string): Promise<Placement> {
  const parent = dirname(target);
  const missing = await firstMissing(parent);
  if (missing === undefined) return { from: file, to: target, file, folders: [] };
  const top = area.newPath();
  const bottom = top + parent.slice(missing.length);
  const inside = `${bottom}/${basename(target)}`;
  try {
    await mkdir(bottom, { recursive: true });
    await io.rename(file, inside);
  } catch (error) {
    await area.discard(top);
    throw error;
  }
  return { from: top, to: missing, file: inside, folders: chain(top, bottom) };
}

/**
 * Moves a file that is already durable, and visible under `from`, over `to`. Missing folders are made in their place
 * first, not with the file in them as {@link publish} does: a crash in between leaves an empty folder, and not the bytes
 * that were to be kept in the staging area.
 */
export async function relocate(from: string, to: string): Promise<void> {
  const changed = new Set([dirname(to), dirname(from)]);
  for (let attempt = 1; ; attempt += 1) {
    for (const folder of await makeFolders(dirname(to))) changed.add(folder);
    try {
      await io.rename(from, to);
      break;
    } catch (error) {
      const code = errnoOf(error);
      if (code === 'EXDEV') {
        await copyAcross(from, to, true);
        await io.unlink(from);
        break;
      }
      if (code !== 'ENOENT' || attempt === maxAttempts) throw error;
      // Either may be missing. When it is the source, this says so; else its new folder went away, and is made again.
      await io.stat(from);
    }
  }
  await syncFolders(changed);
}

/** The same where no rename leads, because another file system is mounted below the root. */
async function copyAcross(from: string, to: string, durable: boolean): Promise<void> {
  const folders = await makeFolders(dirname(to));
  const temporary = `${dirname(to)}/.${randomUUID()}.tmp`;
  try {
    await copyFile(from, temporary, constants.COPYFILE_FICLONE);
    if (durable) await syncFile(temporary);
    await io.rename(temporary, to);
  } catch (error) {
    await io.unlink(temporary).catch(() => undefined);
    throw error;
  }
  if (durable) await syncFolders([...folders, dirname(to)]);
}

/** Makes the bytes of a file last, whoever wrote them. */
export async function syncFile(path: string): Promise<void> {
  const fd = await io.open(path, constants.O_RDONLY);
  try {
    await io.fsync(fd);
  } finally {
    closeSync(fd);
  }
}
