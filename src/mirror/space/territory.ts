import type { RepositoryName } from '../../oci/name.ts';

/** Which repositories are mirrors of something; all others are hosted here. */
export interface Territory {
  /** Whether it is a mirror. */
  has(name: RepositoryName): Promise<boolean>;
  /** Whether some of what is under a path, or the path itself, may be a mirror. */
  reaches(path: string): boolean;
  /** Whether there may be anything that is hosted. */
  readonly sharesWithHosted: boolean;
}

/**
 * @param prefixes of the upstreams; with an empty one, all is its
 * @param isClaimed whether a repository under a prefix is the mirror's: others were pushed there before the prefix was one
 */
export function createTerritory(
  prefixes: readonly string[],
  isClaimed: (name: RepositoryName) => Promise<boolean>,
): Territory {
  const isAll = prefixes.includes('');
  const below = (path: string) => prefixes.some((prefix) => path.startsWith(`${prefix}/`));
  return {
    has: async (name) => isAll || (below(name) && (await isClaimed(name))),
    reaches: (path) =>
      isAll || below(path) || prefixes.some((prefix) => prefix === path || prefix.startsWith(`${path}/`)),
    sharesWithHosted: !isAll,
  };
}
