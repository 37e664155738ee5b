import { LRUCache } from 'lru-cache';
import type { RepositoryName } from '../oci/name.ts';
import type { Marks } from './marks.ts';

/** Repositories that are remembered at most. */
const maxRemembered = 50_000;

/**
 * Marks whose claims are asked after once: as nothing can be pushed to what is claimed, it stays the mirror's. That something is
 * not claimed is asked each time, as another process may claim it.
 */
export function rememberClaims(marks: Marks): Marks {
  const claimed = new LRUCache<RepositoryName, true>({ max: maxRemembered });
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
  };
}
