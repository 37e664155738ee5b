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
  const claimed = new LRUCache<RepositoryName, true>({ max: maxRemembered });
  const brought = new LRUCache<Digest, true>({ max: maxRemembered });
  return {
    get: (...asked) => marks.get(...asked),
    put: (...asked) => marks.put(...asked),

    async isClaimed(name) {
      if (claimed.has(name)) return true;
      const isClaimed = await marks.isClaimed(name);
      if (isClaimed) claimed.set(name, true);
      return isClaimed;
    },
    async claim(name) {
      if (claimed.has(name)) return;
      await marks.claim(name);
      claimed.set(name, true);
    },
    async withdraw(name) {
      await marks.withdraw(name);
      claimed.delete(name);
    },

    async isBrought(digest) {
      if (brought.has(digest)) return true;
      const isBrought = await marks.isBrought(digest);
      if (isBrought) brought.set(digest, true);
      return isBrought;
    },
    async bring(digest) {
      if (brought.has(digest)) return;
      await marks.bring(digest);
      brought.set(digest, true);
    },
  };
}
