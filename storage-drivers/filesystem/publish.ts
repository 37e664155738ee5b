import { randomUUID } from 'node:crypto';
import { closeSync, constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf } from './errors.ts';
import { firstMissing, makeFolders, maxAttempts, syncFolder, syncFolders } from './folders.ts';
import * as io from './io.ts';
import type { StagingArea } from './staging.ts';

/** A file that is built in the staging area and then gets its name. */
export interface StagedFile {
  readonly target: string;
  /** Makes the file under a path in the staging area; again if that fails with ENOENT. */
  create(path: string): Promise<void>;
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
  const leftovers: string[] = [];
  try {
    for (const file of files) placements.push(await build(area, file, placements, leftovers));
    const folders = placements.flatMap(({ file, top, carrier }) => (file === top || carrier ? [] : [dirname(file)]));
    await allSettled([
      last?.settle(),
      ...placements.map(({ staged }) => staged.settle()),
      durable ? syncFolders(folders) : undefined,
    ]);
    const changed = new Set<string>();
    for (const placement of placements) changed.add(await place(area, placement, durable, leftovers));
    if (last !== undefined) changed.add(await last.place());
    if (durable) await syncFolders(changed);
  } catch (error) {
    leftovers.push(...placements.flatMap(({ file, top }) => [file, top]));
    throw error;
  } finally {
    await Promise.all(leftovers.map((path) => area.discard(path)));
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
  /** What was built in the staging area for it: a folder, or the file alone. */
  top: string;
  /** One in whose folder it was made. */
  readonly carrier: Placement | undefined;
  /** Its folder has got its name as a whole, so that all that was made in there has come along. */
  cameAsFolder: boolean;
}

async function build(
  area: StagingArea,
  staged: StagedFile,
  before: readonly Placement[],
  leftovers: string[],
): Promise<Placement> {
  const { target } = staged;
  const carrier = before.find(
    ({ file, top, staged: other }) => file !== top && dirname(other.target) === dirname(target),
  );
  if (carrier !== undefined) {
    const file = `${dirname(carrier.file)}/${basename(target)}`;
    await staged.create(file);
    return { staged, from: file, to: target, file, top: file, carrier, cameAsFolder: false };
  }
  const rename = await prepare(area, target, leftovers);
  await area.use(() => staged.create(rename.file));
  return { staged, ...rename, carrier, cameAsFolder: false };
}

/** Builds the folders that a target lacks. @returns where its file is to be made, and the rename that gives it its name */
async function prepare(area: StagingArea, target: string, leftovers: string[]) {
  const parent = dirname(target);
  const missing = await firstMissing(parent);
  const top = area.newPath();
  if (missing === undefined) return { from: top, to: target, file: top, top };
  const bottom = top + parent.slice(missing.length);
  await mkdir(bottom, { recursive: true }).catch((error: unknown) => {
    leftovers.push(top);
    throw error;
  });
  return { from: top, to: missing, file: `${bottom}/${basename(target)}`, top };
}

/** @returns the folder that got a new entry */
async function place(area: StagingArea, placement: Placement, durable: boolean, leftovers: string[]): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const { staged, from, to, file, top, carrier } = placement;
    if (carrier?.cameAsFolder) return dirname(carrier.to);
    try {
      await io.rename(from, to);
      placement.cameAsFolder = from !== file;
      if (from !== top) leftovers.push(top);
      return dirname(to);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (code === 'EXDEV') {
        await copyAcross(file, staged.target, durable);
        leftovers.push(top);
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
      leftovers.push(top);
      Object.assign(placement, await prepare(area, staged.target, leftovers));
      await io.rename(file, placement.file);
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
