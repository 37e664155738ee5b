import { join, resolve } from 'node:path';
import { isStoragePath } from '../../storage-drivers/driver.ts';
import { rootDirectoryOf } from '../../storage-drivers/filesystem/options.ts';
import type { Config } from '../config/schema.ts';

/** Where blobs are gathered while they come, by `mirror.spool` or its default. @returns undefined: a folder for temporary files */
export function spoolOf(config: Config): string | undefined {
  if (config.mirror.spool !== undefined) return resolve(config.mirror.spool);
  const root = rootOf(config);
  return root && join(root, '_berth/mirror/incoming');
}

/** Tells what a file is in the storage. @returns undefined: none is in it */
export function objectsOf(config: Config): ((file: string) => string | undefined) | undefined {
  const root = rootOf(config);
  if (root === undefined) return undefined;
  return (file) => {
    const path = file.startsWith(`${root}/`) ? file.slice(root.length) : '';
    return isStoragePath(path) ? path : undefined;
  };
}

/** Of a storage that is a folder. */
function rootOf({ storage: { driver } }: Config): string | undefined {
  return driver.name === 'filesystem' ? resolve(rootDirectoryOf(driver.parameters)) : undefined;
}
