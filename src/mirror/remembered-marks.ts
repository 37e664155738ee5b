import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Marks } from './marks.ts';

/** Repositories, and blobs, that are remembered at most. */
const maxRemembered = 50_000;

/**
 * Marks of which is asked once what stays as it is: that a repository is claimed, as nothing can be pushed to it then, and that a
 * blob was brought. That something is not so is asked each time, as another process may change it.
 */
export function rememberMarks(marks: Marks): Marks {
  const claims = remembered<RepositoryName>(marks.isClaimed, marks.claim);
  const blobs = remembered<Digest>(marks.isBrought, marks.bring);
  return {
    ...marks,
    isClaimed: claims.has,
    claim: claims.add,
    async withdraw(name) {
      await marks.withdraw(name);
      claims.forget(name);
    },
    isBrought: blobs.has,
    bring: blobs.add,
  };
}

/** A set that lies elsewhere; those that are known to be in it are not asked about, nor put there, again. */
function remembered<Key extends string>(isThere: (key: Key) => Promise<boolean>, put: (key: Key) => Promise<void>) {
  const known = new LRUCache<Key, true>({ max: maxRemembered });
  return {
    async has(key: Key): Promise<boolean> {
      if (known.has(key)) return true;
      const found = await isThere(key);
      if (found) known.set(key, true);
      return found;
    },
    async add(key: Key): Promise<void> {
      if (known.has(key)) return;
      await put(key);
      known.set(key, true);
    },
    forget: (key: Key) => void known.delete(key),
  };
}
