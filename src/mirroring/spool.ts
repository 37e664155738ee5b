import { join } from 'node:path';
import { rootDirectoryOf } from '../../storage-drivers/filesystem/options.ts';
import type { Config } from '../config/schema.ts';

/** Where blobs are gathered while they come, by `mirror.spool` or its default. @returns undefined: a folder for temporary files */
export function spoolOf({ mirror, storage }: Config): string | undefined {
  if (mirror.spool !== undefined) return mirror.spool;
  const { name, parameters } = storage.driver;
  return name === 'filesystem' ? join(rootDirectoryOf(parameters), '_berth/mirror/incoming') : undefined;
}
