import type { RepositoryName } from '../../oci/name.ts';

/** Which repositories are mirrors of something; all others are hosted here. */
export interface Territory {
  /** Whether it is a mirror. */
  has(name: RepositoryName): boolean;
  /** Whether some of what is under a path, or the path itself, may be a mirror. */
  reaches(path: string): boolean;
  /** Whether some of what is under a path, or the path itself, may be hosted. */
  leaves(path: string): boolean;
}

/** @param prefixes of the upstreams; with an empty one, all is its */
export function createTerritory(prefixes: readonly string[]): Territory {
  const below = (path: string) => prefixes.some((prefix) => prefix === '' || path.startsWith(`${prefix}/`));
  return {
    has: below,
    reaches: (path) => below(path) || prefixes.some((prefix) => prefix === path || prefix.startsWith(`${path}/`)),
    leaves: (path) => !below(path),
  };
}
