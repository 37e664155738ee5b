import type { Descriptor } from '../oci/descriptor.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Naming } from './naming.ts';
import type { UpstreamClient } from './upstream/client.ts';

/** An upstream as the mirror uses it. */
export interface Upstream extends Naming {
  readonly client: UpstreamClient;
  /** Whether a repository, as the upstream calls it, may be mirrored at all. */
  admits(remote: RepositoryName): boolean;
  /** How long a tag counts as what the upstream said of it, in milliseconds. */
  readonly revalidate: number;
  /** For how long after that a tag still serves when the upstream cannot be asked, in milliseconds. */
  readonly maxStale: number;
}

/** What became of a request, for metrics and the log. */
export interface MirrorEvent {
  /** `hit`: from the storage; `miss`: from the upstream; `stale`: from the storage, as the upstream could not be asked. */
  readonly outcome: 'hit' | 'miss' | 'stale';
  readonly kind: 'manifest' | 'blob';
  readonly upstream: string;
  readonly repository: RepositoryName;
  /** Tag or digest. */
  readonly reference: string;
  /** What it is. */
  readonly descriptor: Descriptor;
  /** Why it is stale. */
  readonly error?: unknown;
}
