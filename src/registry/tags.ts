import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type RepositoryName, type Tag, tryParseTag } from '../oci/name.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { layout } from './layout.ts';
import { exists, remove, writeLink } from './links.ts';
import type { PageOptions, Tags } from './registry.ts';

export function createTags(driver: StorageDriver, lock: KeyedLock, name: RepositoryName): Tags {
  return {
    async *list(options = {}) {
      let empty = true;
      for await (const tag of tagsOf(driver, name, options)) {
        empty = false;
        yield tag;
      }
      if (!empty || (await exists(driver, layout.manifests(name))) || (await exists(driver, layout.layers(name))))
        return;
      throw new RegistryError('NAME_UNKNOWN', { detail: { name } });
    },

    async delete(tag) {
      const found = await lock.run(name, () => remove(driver, layout.tag(name, tag)));
      if (!found) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name, reference: tag } });
    },
  };
}

export async function* tagsOf(driver: StorageDriver, name: RepositoryName, options: PageOptions): AsyncGenerator<Tag> {
  for await (const entry of driver.list(layout.tags(name), options)) {
    const tag = entry.kind === 'folder' ? tryParseTag(entry.name) : undefined;
    if (tag !== undefined) yield tag;
  }
}

/**
 * Points a tag at a manifest that the repository has. The link that decides comes first, so that a tag folder never
 * stands without it; the history behind it promises nothing.
 */
export async function pointTag(driver: StorageDriver, name: RepositoryName, tag: Tag, digest: Digest): Promise<void> {
  await writeLink(driver, layout.tagCurrent(name, tag), digest);
  await driver.put(`${layout.tagIndex(name, tag, digest)}/link`, Buffer.from(digest), { durable: false });
}
