import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorageDriver } from '../../driver.ts';
import type { DriverFixture } from '../../testing/fixture.ts';
import { withCheckedPaths } from '../../wrappers/checked-paths.ts';
import { createFilesystemDriver, type FilesystemInternals } from '../driver.ts';

export interface FilesystemFixture extends DriverFixture {
  /** The folder that holds everything. */
  readonly root: string;
}

/** A storage in a temporary folder. */
export async function createFixture(internals?: FilesystemInternals): Promise<FilesystemFixture> {
  const root = await mkdtemp(join(tmpdir(), 'berth-filesystem-'));
  const drivers: StorageDriver[] = [];
  const create = (): StorageDriver => {
    const driver = withCheckedPaths(createFilesystemDriver({ rootdirectory: root, maxthreads: 100 }, internals));
    drivers.push(driver);
    return driver;
  };
  return {
    root,
    driver: create(),
    another: async () => create(),
    async dispose() {
      await Promise.all(drivers.map((driver) => driver.close?.()));
      await rm(root, { recursive: true, force: true });
    },
  };
}
