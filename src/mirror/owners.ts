import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Registry } from '../registry/registry.ts';
import type { Marks } from './marks.ts';

/**
 * Tells whether a repository under the prefix of an upstream is the mirror's, or was pushed before the prefix was one: the mirror
 * claims each of its repositories before it keeps anything there. One with manifests that nobody has claimed is hosted. Tells
 * the same of blobs, which all repositories share.
 */
export class Owners {
  readonly #hosted: Registry;
  readonly #marks: Marks;

  constructor(hosted: Registry, marks: Marks) {
    this.#hosted = hosted;
    this.#marks = marks;
  }

  async isHosted(name: RepositoryName): Promise<boolean> {
    return !(await this.#marks.isClaimed(name)) && this.#hosted.repository(name).manifests.any();
  }

  async claim(name: RepositoryName): Promise<void> {
    await this.#marks.claim(name);
  }

  /** Whether a blob has come from an upstream; else only hosted repositories have it, if any. */
  async isBrought(digest: Digest): Promise<boolean> {
    return this.#marks.isBrought(digest);
  }

  /** Says that a blob has come, with its digest verified. */
  async bring(digest: Digest): Promise<void> {
    await this.#marks.bring(digest);
  }
}
