import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Storage } from './storage.ts';

/** A folder for each registry, all below the same one. */
export function filesystemStorage(folder: string): Storage {
  return {
    kind: 'filesystem',
    description: folder,
    processes: [],
    scarce: false,
    place(name) {
      const data = join(folder, 'data', name);
      return {
        driver: () => ({ filesystem: { rootdirectory: data } }),
        clear: () => rm(data, { recursive: true, force: true }),
      };
    },
    settle: async () => {},
    close: () => rm(join(folder, 'data'), { recursive: true, force: true }),
  };
}
