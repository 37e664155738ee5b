import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { PathNotFoundError } from '../../storage-drivers/driver.ts';
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
  /** When it was last written to, or begun. */
  lastUsed: Date;
  /** Bytes received. */
  size: number;
}

/**
 * Drops upload sessions that nobody goes on with, one by one as they are found.
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
        const data = await keptOrUndefined(driver, layout.uploadData(repository, id));
        // Distribution gives every session a file from its start; only bytes in it are a sign of use.
        const written = data !== undefined && data.size > 0 ? data.modified : undefined;
        const lastUsed = await lastUse(driver, repository, id, written);
        if (lastUsed === undefined || lastUsed >= before) continue;
        if (!dryRun) await remove(driver, layout.upload(repository, id));
        yield { repository, id, lastUsed, size: data?.size ?? 0 };
      } catch (error) {
        onFault(repository, id, error);
      }
    }
  }
}

/** The later of start and last write; without a readable `startedat`, as crashed servers leave it, what the storage says. */
async function lastUse(
  driver: StorageDriver,
  repository: RepositoryName,
  id: string,
  written: Date | undefined,
): Promise<Date | undefined> {
  const path = layout.uploadStartedAt(repository, id);
  const started = await driver.get(path).then(
    (content) => Date.parse(content.toString('latin1').trim()),
    (error: unknown) => {
      if (error instanceof PathNotFoundError) return Number.NaN;
      throw error;
    },
  );
  if (Number.isNaN(started)) return written ?? (await statOrUndefined(driver, layout.upload(repository, id)))?.modified;
  return new Date(Math.max(started, written?.getTime() ?? 0));
}

async function keptOrUndefined(driver: StorageDriver, path: string) {
  try {
    return await driver.kept(path);
  } catch (error) {
    if (error instanceof PathNotFoundError) return undefined;
    throw error;
  }
}
