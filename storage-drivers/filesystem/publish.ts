import { randomUUID } from 'node:crypto';
import { closeSync, constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from './errors.ts';
import { firstMissing, makeFolders, maxAttempts, syncFolder, syncFolders } from './folders.ts';
import * as io from './io.ts';
import type { StagingArea } from './staging.ts';

/** A file in the staging area that is to get its name. */
export interface StagedFile {
  readonly path: string;
  readonly target: string;
  /** Completes the file, durably if that is wanted; called once. */
  settle(): Promise<void>;
}

/** What is made durable together with staged files and gets its name after them. */
export interface Last {
  settle(): Promise<void>;
  /** @returns the folder that must be synced for the name to last */
  place(): Promise<string>;
}

/**
 * Gives staged files their final names, one after the other, replacing what has them. An object and the folders that it
 * lacks become visible at one instant, so that nobody ever sees `tags/x` without its link:
 *
 * 1. build the missing folders in the staging area, with the file in them,
 * 2. sync all files and their folders at once (a journal commits them together),
 * 3. rename the topmost folder (or the file alone, when none is missing) to its place, one object after the other,
 * 4. sync the folders that got new entries, at once.
 *
 * Each of the two waves costs one wait for the disk, however many objects there are. The names are ordered also after a
 * power cut in between: journals keep the order of renames.
 *
 * Nothing stays in the staging area when it fails.
 *
 * @param durable whether folders are synced
 */
export async function publish(
  area: StagingArea,
  files: readonly StagedFile[],
  durable: boolean,
  last?: Last,
): Promise<void> {
  const placements: Placement[] = [];
  try {
    await allSettled([last?.settle(), ...files.map(async (file) => placements.push(await stage(area, file, durable)))]);
    placements.sort((one, other) => files.indexOf(one.staged) - files.indexOf(other.staged));
    const changed = new Set<string>();
    for (const placement of placements) changed.add(await place(area, placement, durable));
    if (last !== undefined) changed.add(await last.place());
    if (durable) await syncFolders(changed);
  } catch (error) {
    await Promise.all(files.map((file) => area.discard(file.path)));
    await Promise.all(placements.map((placement) => area.discard(placement.top)));
    throw error;
  }
}

/** Waits for all, then throws the first fault: who called closes descriptors next, and nothing may still use them. */
async function allSettled(work: readonly (Promise<unknown> | undefined)[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
}

interface Placement {
  readonly staged: StagedFile;
  /** The rename that makes the object visible. */
  from: string;
  to: string;
  /** Where the file is until then: `from`, or below it. */
  file: string;
  /** What was built in the staging area. */
  top: string;
}

async function stage(area: StagingArea, staged: StagedFile, durable: boolean): Promise<Placement> {
  const placement = await prepare(area, staged, staged.path);
  const folders = durable && placement.file !== placement.top ? [dirname(placement.file)] : [];
  await allSettled([staged.settle(), syncFolders(folders)]).catch(async (error: unknown) => {
    await area.discard(placement.top);
    throw error;
  });
  return placement;
}

async function prepare(area: StagingArea, staged: StagedFile, file: string): Promise<Placement> {
  const { target } = staged;
  const parent = dirname(target);
  const missing = await firstMissing(parent);
  if (missing === undefined) return { staged, from: file, to: target, file, top: file };
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
  return { staged, from: top, to: missing, file: inside, top };
}

/** @returns the folder that got a new entry */
async function place(area: StagingArea, placement: Placement, durable: boolean): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const { staged, from, to, file, top } = placement;
    try {
      await io.rename(from, to);
      if (top !== from) await area.discard(top);
      return dirname(to);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (code === 'EXDEV') {
        await copyAcross(file, staged.target, durable);
        await area.discard(top);
        return dirname(staged.target);
      }
      if (attempt === maxAttempts) throw error;
      if ((code === 'EEXIST' || code === 'ENOTEMPTY') && from !== file) {
        // Somebody made the folder meanwhile: what is below it still has to go there.
        const next = file.slice(from.length).split('/', 2).join('/');
        placement.from += next;
        placement.to += next;
        continue;
      }
      if (code !== 'ENOENT') throw error;
      // A folder above went away: build anew what is missing now.
      placement.file = area.newPath();
      await io.rename(file, placement.file);
      if (top !== file) await area.discard(top);
      Object.assign(placement, await prepare(area, staged, placement.file));
      if (durable && placement.file !== placement.top) await syncFolder(dirname(placement.file));
    }
  }
}

/**
 * Moves a file that is already durable, and visible under `from`, over `to`. Missing folders are made in their place
 * first, not with the file in them as {@link publish} does: a crash in between leaves an empty folder, and not the bytes
 * that were to be kept in the staging area.
 *
 * @returns the folder that must be synced for the new name to last; the old name goes in the same step of the journal
 */
export async function relocate(from: string, to: string): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    await makeFolders(dirname(to));
    try {
      await io.rename(from, to);
      return dirname(to);
    } catch (error) {
      const code = errnoOf(error);
      if (code === 'EXDEV') {
        await copyAcross(from, to, true);
        await io.unlink(from);
        return dirname(to);
      }
      if (code !== 'ENOENT' || attempt === maxAttempts) throw error;
      // Either may be missing. When it is the source, this says so; else its new folder went away, and is made again.
      await io.stat(from);
    }
  }
}

/** The same where no rename leads, because another file system is mounted below the root. */
async function copyAcross(from: string, to: string, durable: boolean): Promise<void> {
  await makeFolders(dirname(to));
  const temporary = `${dirname(to)}/.${randomUUID()}.tmp`;
  try {
    await copyFile(from, temporary, constants.COPYFILE_FICLONE);
    if (durable) await syncFile(temporary);
    await io.rename(temporary, to);
  } catch (error) {
    await io.unlink(temporary).catch(() => undefined);
    throw error;
  }
  if (durable) await syncFolder(dirname(to));
}

/** Makes the bytes of a file last, whoever wrote them. */
async function syncFile(path: string): Promise<void> {
  const fd = await io.open(path, constants.O_RDONLY);
  try {
    await io.fsync(fd);
  } finally {
    closeSync(fd);
  }
}
