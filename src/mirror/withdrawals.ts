import { LRUCache } from 'lru-cache';
import type { RepositoryName } from '../oci/name.ts';
import type { Registry } from '../registry/registry.ts';
import type { Marks } from './marks.ts';

/**
 * A registry whose repositories cease to be a mirror's when a manifest is pushed to them. That happens where a prefix was an
 * upstream's, and is none now: when it is one again, they are hosted, with all that is in them.
 */
export function withWithdrawals(hosted: Registry, marks: Pick<Marks, 'isClaimed' | 'withdraw'>): Registry {
  /** What is pushed to is no mirror's as long as this process serves. */
  const free = new LRUCache<RepositoryName, true>({ max: 50_000 });

  return {
    repositories: (page) => hosted.repositories(page),

    repository(name, namespace) {
      const repository = hosted.repository(name, namespace);
      const { manifests } = repository;
      return {
        ...repository,
        manifests: {
          ...manifests,
          async put(...asked) {
            const result = await manifests.put(...asked);
            if (free.has(name)) return result;
            // Only now: what is refused changes nothing.
            if (await marks.isClaimed(name)) await marks.withdraw(name);
            free.set(name, true);
            return result;
          },
        },
      };
    },
  };
}
