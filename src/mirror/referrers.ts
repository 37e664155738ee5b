import type { Referrers } from '../registry/registry.ts';
import { allowsStale, registryError } from './faults.ts';
import type { Mirrored } from './naming.ts';
import type { MirrorEvent, Upstream } from './upstream.ts';

/** What the upstream has; what is kept, when it cannot be asked. */
export function createMirroredReferrers(
  { upstream, remote, local }: Mirrored<Upstream>,
  kept: Referrers,
  onEvent: (event: MirrorEvent) => void,
): Referrers {
  return {
    async *list(subject, artifactTypes, options = {}) {
      const { after, signal } = options;
      try {
        const found = await upstream.client.listReferrers(remote, subject, signal);
        const wanted = found.filter(
          ({ digest, artifactType = '' }) =>
            (after === undefined || digest > after) &&
            (artifactTypes.length === 0 || artifactTypes.includes(artifactType)),
        );
        yield* wanted.sort((a, b) => (a.digest < b.digest ? -1 : 1));
      } catch (error) {
        if (!allowsStale(error)) throw registryError(error, 'NAME_UNKNOWN', { name: local });
        onEvent({
          outcome: 'stale',
          kind: 'referrers',
          upstream: upstream.name,
          repository: local,
          reference: subject,
          error,
        });
        yield* kept.list(subject, artifactTypes, options);
      }
    },
  };
}
