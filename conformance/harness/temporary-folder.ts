import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atExit } from './at-exit.ts';

export interface TemporaryFolder {
  /** Absolute. */
  readonly path: string;
  /** Removes the folder with everything in it; may be called more than once. */
  remove(): Promise<void>;
}

/** A new, empty folder below the system's folder for temporary files. */
export async function temporaryFolder(prefix = 'berth-'): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  const forget = atExit(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
      forget();
    },
  };
}
