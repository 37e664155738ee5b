import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { type Descriptor, octetStream } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Content } from './content.ts';
import { layout } from './layout.ts';
import { linkTo, readLink, remove } from './links.ts';
import type { Blobs } from './registry.ts';
import { walkRepositories } from './repositories.ts';

/** How many repositories an anonymous mount looks through at most: it saves one upload, and must not cost more. */
const mountSearchLimit = 5_000;

export function createBlobs(driver: StorageDriver, content: Content, name: RepositoryName): Blobs {
  function unknown(digest: Digest): RegistryError {
    return new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
  }

  async function descriptor(
    digest: Digest,
    sizeOf: Content['stat'],
    signal?: AbortSignal,
  ): Promise<{ target: Digest; descriptor: Descriptor }> {
    const target = await readLink(driver, layout.layer(name, digest), signal);
    const size = target && (await sizeOf(target, signal));
    if (target === undefined || size === undefined) throw unknown(digest);
    return { target, descriptor: { mediaType: octetStream, digest, size } };
  }

  /** The repository to mount from, with what its link leads to. */
  async function findSource(
    digest: Digest,
    from: RepositoryName | undefined,
    readable: (name: RepositoryName) => boolean | Promise<boolean>,
  ): Promise<Digest | undefined> {
    if (from !== undefined) {
      return (await readable(from)) ? readLink(driver, layout.layer(from, digest)) : undefined;
    }
    if ((await content.stat(digest)) === undefined) return undefined;
    let left = mountSearchLimit;
    for await (const candidate of walkRepositories(driver)) {
      if (left-- === 0) return undefined;
      const target = await readLink(driver, layout.layer(candidate, digest));
      if (target !== undefined && (await readable(candidate))) return target;
    }
    return undefined;
  }

  return {
    stat: async (digest, signal) => (await descriptor(digest, content.stat, signal)).descriptor,

    async get(digest, signal) {
      const found = await descriptor(digest, content.size, signal);
      return {
        descriptor: found.descriptor,
        async open(range, signal) {
          const reader = await content.open(found.target, range, signal);
          if (reader === undefined) throw unknown(digest);
          return reader;
        },
        redirectUrl: (signal) => content.redirectUrl(found.target, signal),
      };
    },

    async mount(digest, from, readable) {
      const target = await findSource(digest, from, readable);
      if (target === undefined) return undefined;
      await driver.putAll([linkTo(layout.layer(name, digest), target)]);
      // Only now: an eviction looks for links once more when it has taken content away, and brings it back. So either it
      // sees this link, or this sees that the content is gone. The link then leads nowhere and counts as none.
      const size = await content.stat(target);
      return size === undefined ? undefined : { mediaType: octetStream, digest, size };
    },

    async adopt(digest, prove) {
      const found = await content.stat(digest);
      if (found === undefined) return undefined;
      await prove(found);
      await driver.putAll([linkTo(layout.layer(name, digest), digest)]);
      // It may have been evicted meanwhile, see `mount`.
      const size = await content.stat(digest);
      return size === undefined ? undefined : { mediaType: octetStream, digest, size };
    },

    async delete(digest) {
      const folder = layout.layer(name, digest);
      // A link that leads nowhere is deleted too, but a client must not hear that it was a blob.
      const known = (await readLink(driver, folder)) !== undefined;
      content.forget(digest);
      if (!(await remove(driver, folder)) || !known) throw unknown(digest);
    },
  };
}
