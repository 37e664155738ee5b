import type { Digest } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/name.ts';

/** What is known of a tag of an upstream, beside the manifest that it points to here. */
export interface Mark {
  /** When the upstream last said that the tag points there, in milliseconds since 1970. */
  readonly checked: number;
}

/**
 * Where marks are kept; all processes that serve one storage share them. Each call may be I/O, and claims are asked after with
 * each request: see `remembered-marks.ts`.
 */
export interface Marks {
  get(name: RepositoryName, tag: Tag): Promise<Mark | undefined>;
  put(name: RepositoryName, tag: Tag, mark: Mark): Promise<void>;
  /** Whether a repository was {@link claim}ed: what is in it has come from an upstream. */
  isClaimed(name: RepositoryName): Promise<boolean>;
  /** To be called before anything is kept there. */
  claim(name: RepositoryName): Promise<void>;
  /** Takes a claim back. */
  withdraw(name: RepositoryName): Promise<void>;
  /** Whether an upstream has given a blob once, so that it is no secret of a hosted repository. The blob itself may have gone. */
  isBrought(digest: Digest): Promise<boolean>;
  /** To be called once its digest is verified, before it is kept. */
  bring(digest: Digest): Promise<void>;
}
