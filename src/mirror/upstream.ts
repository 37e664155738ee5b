import type { Descriptor } from '../oci/descriptor.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Mirroring } from '../registry/registry.ts';
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
  /** How long the upstream is waited for when there is a tag that may be stale, in milliseconds. */
  readonly patience: number;
}

/** Bytes that a client is given. */
export interface Sent {
  readonly upstream: string;
  readonly kind: 'manifest' | 'blob';
  /**
   * Of a manifest, or of the part of a blob that was asked for. They count when the answer begins, though the client may leave
   * before it has all; so do those that it is sent to the storage for, which gives them itself.
   */
  readonly bytes: number;
}

/** What became of a request, for metrics and the log. */
export interface MirrorEvent {
  readonly outcome: Mirroring['outcome'];
  readonly kind: 'manifest' | 'blob' | 'tags' | 'referrers';
  readonly upstream: string;
  readonly repository: RepositoryName;
  /** Tag or digest; of `tags`, nothing. */
  readonly reference: string;
  /** What it is; of lists, nothing. */
  readonly descriptor?: Descriptor;
  /** Why it is stale. */
  readonly error?: unknown;
}

/** Something that has come from an upstream, but could not be kept: the storage is full, or does not answer. */
export interface MirrorFault {
  readonly upstream: string;
  readonly repository: RepositoryName;
  readonly reference: string;
  readonly error: unknown;
}
