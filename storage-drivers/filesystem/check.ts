import { constants } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { StorageError } from '../driver.ts';
import { driverName, errnoOf } from './errors.ts';
import * as io from './io.ts';
import type { StagingArea } from './staging.ts';

/**
 * Says whether the root can be written now, and if not, what to do about it.
 *
 * @throws StorageError for the path `/`
 */
export async function checkRoot(root: string, area: StagingArea): Promise<void> {
  try {
    await mkdir(root, { recursive: true });
    if (!(await stat(root)).isDirectory()) throw fault('STORAGE_FAULT', `${root} is not a folder`);
    const probe = await area.create(constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
    await io.close(probe.fd);
    await io.unlink(probe.path);
  } catch (error) {
    throw await explain(root, error);
  }
}

async function explain(root: string, error: unknown): Promise<unknown> {
  switch (errnoOf(error)) {
    case 'EACCES':
    case 'EPERM': {
      const user = `${process.getuid?.() ?? '?'}:${process.getgid?.() ?? '?'}`;
      const owner = await stat(root).then(
        (stats) => ` (owned by ${stats.uid}:${stats.gid})`,
        () => '',
      );
      const message = `${root}${owner} cannot be written by this process, which runs as ${user}: chown -R ${user} ${root}`;
      return fault('STORAGE_DENIED', message, error);
    }
    case 'EROFS':
      return fault('STORAGE_READ_ONLY', `${root} is mounted read-only: mount it writable`, error);
    case 'EEXIST':
    case 'ENOTDIR':
      return fault('STORAGE_FAULT', `${root} is not a folder, or lies below a file`, error);
    case 'ENOSPC':
    case 'EDQUOT':
      return fault('STORAGE_FULL', `no space is left for ${root}`, error);
    case undefined:
      return error;
    default:
      return fault('STORAGE_FAULT', `${root} cannot be used: ${errnoOf(error)}`, error);
  }
}

function fault(code: StorageError['code'], message: string, cause?: unknown): StorageError {
  return new StorageError(code, driverName, '/', message, { cause });
}
