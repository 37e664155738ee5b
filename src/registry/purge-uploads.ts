import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { unlessMissing } from '../../storage-drivers/driver.ts';
import type { RepositoryName } from '../oci/name.ts';
import { layout } from './layout.ts';
import { remove, statOrUndefined } from './links.ts';
import { walkRepositories } from './repositories.ts';

export interface PurgeOptions {
  driver: StorageDriver;
  /** Sessions in which nothing has happened since then are dropped. */
  before: Date;
  /** Only say what would be dropped. */
  dryRun: boolean;
  /** Is told of a session that could not be looked at or dropped; the others still are. */
  onFault(repository: RepositoryName, id: string, error: unknown): void;
  signal?: AbortSignal;
}

export interface PurgedUpload {
  repository: RepositoryName;
  id: string;
  /** When it was last written to, or begun; of what is no session (any more), when something was stored there last. */
  lastUsed: Date;
  /** Bytes received. */
  size: number;
}

/**
 * Drops upload sessions that nobody goes on with, one by one as they are found, and whatever else is in their place: who
 * dies, or is late, may leave things there of a session that has ended.
 *
 * @throws TypeError when `before` is no date: nothing is older or younger than it
 */
export async function* purgeUploads(options: PurgeOptions): AsyncGenerator<PurgedUpload> {
  const { driver, before, dryRun, onFault, signal } = options;
  if (Number.isNaN(before.getTime())) throw new TypeError('before is not a date');
  const page = signal && { signal };
  for await (const repository of walkRepositories(driver, page, ['_uploads'])) {
    for await (const { name: id } of driver.list(layout.uploads(repository), page)) {
      try {
        const data = await unlessMissing(driver.kept(layout.uploadData(repository, id)));
        // Distribution gives every session a file from its start; only bytes in it are a sign of use.
        const written = data !== undefined && data.size > 0 ? data.modified : undefined;
        const started = await startOf(driver, repository, id);
        const known = latest(started, written);
        if (known !== undefined && known >= before) continue;
        // Only now, as it costs more: a large push may have gone on for longer than that.
        const lastUsed = latest(known, await lastWrite(driver, repository, id, known));
        if (lastUsed === undefined || lastUsed >= before) continue;
        if (!dryRun) await remove(driver, layout.upload(repository, id));
        yield { repository, id, lastUsed, size: data?.size ?? 0 };
      } catch (error) {
        onFault(repository, id, error);
      }
    }
  }
}

/** Undefined without a readable `startedat`, as crashed servers leave it. */
async function startOf(driver: StorageDriver, repository: RepositoryName, id: string): Promise<Date | undefined> {
  const content = await unlessMissing(driver.get(layout.uploadStartedAt(repository, id)));
  const started = new Date(content?.toString('latin1').trim() ?? '');
  return Number.isNaN(started.getTime()) ? undefined : started;
}

/** What the storage says of all that is there. The date of a folder says little of what is below: it is for what has no other. */
async function lastWrite(driver: StorageDriver, repository: RepositoryName, id: string, known: Date | undefined) {
  const path = layout.upload(repository, id);
  const last = await driver.lastWrite?.(path);
  return last ?? known ?? (await statOrUndefined(driver, path))?.modified;
}

function latest(a: Date | undefined, b: Date | undefined): Date | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a < b ? b : a;
}
