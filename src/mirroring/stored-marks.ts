import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { Marks } from '../mirror/marks.ts';
import { algorithmOf, type Digest, encodedOf } from '../oci/digest.ts';
import { createSharedStore } from '../shared-store.ts';

/**
 * Marks as they are kept in the storage, in `/_berth/mirror/tags`: `<repository>/_tags/<tag>` holds when the upstream last said
 * where the tag points, `<repository>/_mirrored` that the repository is the mirror's, `_blobs/<algorithm>/<two>/<digest>` that
 * an upstream has given a blob.
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
    withdraw: async (name) => void (await store.delete(`${name}/_mirrored`)),
    isBrought: async (digest) => (await store.get(noteOf(digest))) !== undefined,
    bring: (digest) => store.put(noteOf(digest), Buffer.from(new Date().toISOString())),
  };
}

function noteOf(digest: Digest): string {
  const encoded = encodedOf(digest);
  return `_blobs/${algorithmOf(digest)}/${encoded.slice(0, 2)}/${encoded}`;
}
