import { OptionReader, type ParsedOptions } from '../options.ts';

/** `storage.filesystem` of the configuration. */
export interface FilesystemOptions {
  /** The folder that holds everything; a relative one counts from the working directory. */
  rootdirectory: string;
  /**
   * Distribution's bound on file operations at one time. Accepted so that a configuration file goes on to work, and
   * without effect: operations wait for a thread of Node's pool, whose size is `UV_THREADPOOL_SIZE` (4).
   */
  maxthreads: number;
}

/** Distribution's own defaults and its lower bound. */
const defaultRoot = '/var/lib/registry';
const defaultThreads = 100;
const minimumThreads = 25;

export function parseFilesystemOptions(
  parameters: Readonly<Record<string, unknown>>,
): ParsedOptions<FilesystemOptions> {
  const reader = new OptionReader(parameters);
  const rootdirectory = reader.text('rootdirectory', defaultRoot);
  if (rootdirectory.includes('\0')) reader.fault('rootdirectory', rootdirectory, 'must not hold a NUL character');
  const threads = reader.wholeNumber('maxthreads', defaultThreads);
  if (threads < minimumThreads) reader.warn('maxthreads', threads, `is raised to its minimum of ${minimumThreads}`);
  return reader.finish({ rootdirectory, maxthreads: Math.max(minimumThreads, threads) });
}

/** @param parameters that {@link parseFilesystemOptions} finds no fault with */
export function rootDirectoryOf(parameters: Readonly<Record<string, unknown>>): string {
  return new OptionReader(parameters).text('rootdirectory', defaultRoot);
}
