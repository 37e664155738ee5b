import { constants } from 'node:fs';
import { mkdir, opendir, stat } from 'node:fs/promises';
import { StorageError } from '../driver.ts';
import { driverName, errnoOf } from './errors.ts';
import * as io from './io.ts';
import type { StagingArea } from './staging.ts';

/**
 * Looks whether the root is a folder that can be read now, and says what to do if not. Changes nothing.
 *
 * @throws StorageError for the path `/`
 */
export async function checkRoot(root: string): Promise<void> {
  try {
    const folder = await opendir(root);
    try {
      await folder.read();
    } finally {
      await folder.close();
    }
  } catch (error) {
    throw await explain(root, error, 'read');
  }
}

/**
 * Makes the root if it is missing, tries whether files can be made in it, and says what to do if not.
 *
 * @throws StorageError for the path `/`
 */
export async function checkRootWritable(root: string, area: StagingArea): Promise<void> {
  try {
    await mkdir(root, { recursive: true });
    const probe = await area.create(constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
    await io.close(probe.fd);
    await io.unlink(probe.path);
  } catch (error) {
    throw await explain(root, error, 'written');
  }
}

async function explain(root: string, error: unknown, purpose: 'read' | 'written'): Promise<unknown> {
  switch (errnoOf(error)) {
    case 'EACCES':
    case 'EPERM': {
      const user = `${process.getuid?.() ?? '?'}:${process.getgid?.() ?? '?'}`;
      const owner = await stat(root).then(
        (stats) => ` (owned by ${stats.uid}:${stats.gid})`,
        () => '',
      );
      const message = `${root}${owner} cannot be ${purpose} by this process, which runs as ${user}: chown -R ${user} ${root}`;
      return fault('STORAGE_DENIED', message, error);
    }
    case 'EROFS':
      return fault(
        'STORAGE_READ_ONLY',
        `${root} is mounted read-only: mount it writable, or set storage.maintenance.readonly.enabled`,
        error,
      );
    case 'ENOENT':
      return fault('STORAGE_FAULT', `${root} does not exist: mount the volume, or make the folder`, error);
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
