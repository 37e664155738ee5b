import {
  PathNotFoundError,
  StorageError,
  type StorageErrorCode,
  StorageFullError,
  StorageUnavailableError,
} from '../driver.ts';

export const driverName = 'filesystem';

/** Codes of the operating system that mean something else than "the storage is at fault" (errno(3)). */
const meanings: Readonly<Record<string, { code: StorageErrorCode; message: string }>> = {
  EACCES: { code: 'STORAGE_DENIED', message: 'permission denied; give it to the user that the registry runs as' },
  EPERM: { code: 'STORAGE_DENIED', message: 'not permitted; give it to the user that the registry runs as' },
  EROFS: { code: 'STORAGE_READ_ONLY', message: 'the file system is mounted read-only' },
  EISDIR: { code: 'STORAGE_FAULT', message: 'is a folder, not an object' },
  ENOTDIR: { code: 'STORAGE_FAULT', message: 'a part of the path is an object, not a folder' },
  ELOOP: { code: 'STORAGE_FAULT', message: 'symbolic links lead in a circle' },
  ENAMETOOLONG: { code: 'STORAGE_FAULT', message: 'the name is longer than the file system allows' },
  EIO: { code: 'STORAGE_FAULT', message: 'the disk failed to read or write' },
};

/** They pass, or the operator ends them, without a change to what is stored. */
const passing = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBUSY', 'ESTALE', 'ETIMEDOUT', 'EHOSTDOWN']);

/** The code of an error of the operating system, e.g. `ENOENT`; undefined for any other. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** What is not there: neither the name nor a folder on the way to it. */
export function isMissing(error: unknown): boolean {
  const code = errnoOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/**
 * The fault in the contract's words. What is no error of the operating system (an abort, a mistake in the program, a
 * StorageError already) stays as it is.
 */
export function storageFault(error: unknown, path: string): unknown {
  const code = errnoOf(error);
  if (code === undefined || error instanceof StorageError) return error;
  if (code === 'ENOENT') return new PathNotFoundError(driverName, path, { cause: error });
  if (code === 'ENOSPC' || code === 'EDQUOT') return new StorageFullError(driverName, path, { cause: error });
  if (passing.has(code)) return new StorageUnavailableError(driverName, path, code, { cause: error });
  const meaning = meanings[code] ?? { code: 'STORAGE_FAULT', message: code };
  return new StorageError(meaning.code, driverName, path, meaning.message, { cause: error });
}
