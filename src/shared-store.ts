import { PathNotFoundError, type StorageDriver } from '../storage-drivers/driver.ts';
import type { SharedStore } from './auth/store.ts';

export interface SharedStoreOptions {
  /** Beside `docker`, which is all that distribution looks at: `/_berth/auth`. */
  readonly root: string;
  /** Whether nobody but the storage's owner may read it, where the storage knows of others. */
  readonly secret: boolean;
}

/** Keeps small things that replicas share in the storage of the registry. */
export function createSharedStore(driver: StorageDriver, { root, secret }: SharedStoreOptions): SharedStore {
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
    put: (name, value) => driver.put(`${root}/${name}`, value, { secret }),

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

/** Keys and tokens. */
export const authStore: SharedStoreOptions = { root: '/_berth/auth', secret: true };
