import type { RepositoryName } from '../oci/name.ts';
import type { Registry } from '../registry/registry.ts';
import type { Marks } from './marks.ts';

/**
 * Tells whether a repository under the prefix of an upstream is the mirror's, or was pushed before the prefix was one: the mirror
 * claims each of its repositories before it keeps anything there. One with manifests that nobody has claimed is hosted.
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
}
