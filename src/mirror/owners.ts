import { LRUCache } from 'lru-cache';
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
  /** As nothing can be pushed to them, they stay the mirror's. */
  readonly #claimed = new LRUCache<RepositoryName, true>({ max: 50_000 });
  readonly #brought = new LRUCache<Digest, true>({ max: 50_000 });

  constructor(hosted: Registry, marks: Marks) {
    this.#hosted = hosted;
    this.#marks = marks;
  }

  async isHosted(name: RepositoryName): Promise<boolean> {
    if (this.#claimed.has(name)) return false;
    if (await this.#marks.isClaimed(name)) {
      this.#claimed.set(name, true);
      return false;
    }
    return this.#hosted.repository(name).manifests.any();
  }

  async claim(name: RepositoryName): Promise<void> {
    if (this.#claimed.has(name)) return;
    await this.#marks.claim(name);
    this.#claimed.set(name, true);
  }

  /** Whether a blob has come from an upstream; else only hosted repositories have it, if any. */
  async isBrought(digest: Digest): Promise<boolean> {
    const isBrought = this.#brought.has(digest) || (await this.#marks.isBrought(digest));
    if (isBrought) this.#brought.set(digest, true);
    return isBrought;
  }

  /** Says that a blob has come, with its digest verified. */
  async bring(digest: Digest): Promise<void> {
    if (this.#brought.has(digest)) return;
    await this.#marks.bring(digest);
    this.#brought.set(digest, true);
  }
}
