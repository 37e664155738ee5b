import { LRUCache } from 'lru-cache';
import type { StorageDriver, StorageObject } from '../../storage-drivers/driver.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { type RepositoryName, type Tag, tryParseTag } from '../oci/name.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { layout } from './layout.ts';
import { exists, linkTo, readLink, remove } from './links.ts';
import type { PageOptions, Tags } from './registry.ts';

export function createTags(driver: StorageDriver, lock: KeyedLock, seen: SeenTags, name: RepositoryName): Tags {
  return {
    async *list(options = {}) {
      let empty = true;
      for await (const tag of tagsOf(driver, name, seen, options)) {
        empty = false;
        yield tag;
      }
      if (!empty || (await exists(driver, layout.manifests(name))) || (await exists(driver, layout.layers(name))))
        return;
      throw new RegistryError('NAME_UNKNOWN', { detail: { name } });
    },

    async delete(tag) {
      const found = await lock.exclusive(name, () => remove(driver, layout.tag(name, tag)));
      seen.delete(`${name}:${tag}`);
      if (!found) throw new RegistryError('MANIFEST_UNKNOWN', { detail: { name, reference: tag } });
    },
  };
}

/** Links that are read at the same time, at most. */
const maxBatch = 32;

/**
 * Tags (`name:tag`) whose link was seen. Whether a tag is there is asked each time, by listing; that a folder of tags
 * has a link need not be asked again: it goes with the folder.
 */
export type SeenTags = LRUCache<string, true>;

export function createSeenTags(): SeenTags {
  return new LRUCache({ max: 50_000 });
}

/** The tags that point to something: a folder whose link is missing or empty, as crashes leave them, is no tag. */
export async function* tagsOf(
  driver: StorageDriver,
  name: RepositoryName,
  seen: SeenTags,
  options: PageOptions,
): AsyncGenerator<Tag> {
  let batch: Tag[] = [];
  // Who wants few does not pay for more; where many folders are no tags, the next ones are looked at faster.
  let batchSize = Math.max(1, Math.min(maxBatch, options.limit ?? maxBatch));
  async function pointing(): Promise<Tag[]> {
    const unseen = batch.filter((tag) => !seen.has(`${name}:${tag}`));
    const hasLink = async (tag: Tag) => {
      const link = await readLink(driver, layout.tagCurrent(name, tag), options.signal);
      if (link !== undefined) seen.set(`${name}:${tag}`, true);
    };
    await Promise.all(unseen.map(hasLink));
    const tags = unseen.length === 0 ? batch : batch.filter((tag) => seen.has(`${name}:${tag}`));
    batch = [];
    return tags;
  }
  for await (const entry of driver.list(layout.tags(name), options)) {
    const tag = entry.kind === 'folder' ? tryParseTag(entry.name) : undefined;
    if (tag === undefined || batch.push(tag) < batchSize) continue;
    yield* await pointing();
    batchSize = Math.min(maxBatch, 2 * batchSize);
  }
  yield* await pointing();
}

/** The link that points a tag at a manifest. It comes before its history, so that no tag stands without it. */
export function tagTo(name: RepositoryName, tag: Tag, digest: Digest): StorageObject {
  return linkTo(layout.tagCurrent(name, tag), digest);
}

/** Every manifest that a tag has pointed to stays linked; distribution's garbage collection reads it. Promises nothing. */
export async function rememberTags(
  driver: StorageDriver,
  name: RepositoryName,
  tags: Iterable<Tag>,
  digest: Digest,
): Promise<void> {
  const links = Array.from(tags, (tag) => linkTo(layout.tagIndex(name, tag, digest), digest));
  await driver.putAll(links, { durable: false });
}
