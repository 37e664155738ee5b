import { PathNotFoundError, type StorageDriver } from '../storage-drivers/driver.ts';
import type { SharedStore } from './auth/store.ts';

/** Beside `docker`, which is all that distribution looks at. */
const root = '/_berth/auth';

/** Keeps what access control shares among replicas in the storage of the registry. Readable by its owner only. */
export function createSharedStore(driver: StorageDriver): SharedStore {
  async function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
    try {
      return await promise;
    } catch (error) {
      if (error instanceof PathNotFoundError) return undefined;
      throw error;
    }
  }

  return {
    get: (name) => unlessMissing(driver.get(`${root}/${name}`)),
    put: (name, value) => driver.put(`${root}/${name}`, value, { secret: true }),

    async list(folder) {
      const names: string[] = [];
      await unlessMissing(
        (async () => {
          for await (const { name, kind } of driver.list(`${root}/${folder}`)) if (kind === 'object') names.push(name);
        })(),
      );
      return names;
    },

    async delete(name) {
      return (await unlessMissing(driver.delete(`${root}/${name}`).then(() => true))) ?? false;
    },
  };
}
