import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { Marks } from '../mirror/marks.ts';
import { createSharedStore } from '../shared-store.ts';

/**
 * Marks as they are kept in the storage, in `/_berth/mirror/tags`: `<repository>/_tags/<tag>` holds when the upstream last said
 * where the tag points, `<repository>/_mirrored` that the repository is the mirror's.
 */
export function marksIn(driver: StorageDriver): Marks {
  const store = createSharedStore(driver, { root: '/_berth/mirror/tags', secret: false });
  return {
    async get(name, tag) {
      const text = (await store.get(`${name}/_tags/${tag}`))?.toString('utf8');
      const checked = Date.parse(text ?? '');
      return Number.isNaN(checked) ? undefined : { checked };
    },
    put: (name, tag, { checked }) => store.put(`${name}/_tags/${tag}`, Buffer.from(new Date(checked).toISOString())),
    isClaimed: async (name) => (await store.get(`${name}/_mirrored`)) !== undefined,
    claim: (name) => store.put(`${name}/_mirrored`, Buffer.from(new Date().toISOString())),
  };
}
