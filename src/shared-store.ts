import { type StorageDriver, unlessMissing } from '../storage-drivers/driver.ts';
import type { SharedStore } from './auth/store.ts';
import { remove } from './registry/links.ts';

export interface SharedStoreOptions {
  /** Beside `docker`, which is all that distribution looks at: `/_berth/auth`. */
  readonly root: string;
  /** Whether nobody but the storage's owner may read it, where the storage knows of others. */
  readonly secret: boolean;
}

/** Keeps small things that replicas share in the storage of the registry. */
export function createSharedStore(driver: StorageDriver, { root, secret }: SharedStoreOptions): SharedStore {
  return {
    get: (name) => unlessMissing(driver.get(`${root}/${name}`)),
    put: (name, value) => driver.put(`${root}/${name}`, value, { secret }),

    async list(folder) {
      const names: string[] = [];
      for await (const { name, kind } of driver.list(`${root}/${folder}`)) if (kind === 'object') names.push(name);
      return names;
    },

    delete: (name) => remove(driver, `${root}/${name}`),
  };
}

/** Keys and tokens. */
export const authStore: SharedStoreOptions = { root: '/_berth/auth', secret: true };
