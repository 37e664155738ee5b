import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { RepositoryName, Tag } from '../oci/name.ts';
import { isDigest, type Reference } from '../oci/reference.ts';
import type { Content } from './content.ts';
import type { KeyedLock } from './keyed-lock.ts';
import { layout } from './layout.ts';
import { linkTo, readLink, remove, statOrUndefined } from './links.ts';
import type { ReferrersIndex } from './referrers.ts';
import type { Blobs, Manifest, Manifests } from './registry.ts';
import { rememberTags, type SeenTags, tagsOf, tagTo } from './tags.ts';
import { checkReferences, type Validation } from './validation.ts';

export interface ManifestsOptions {
  driver: StorageDriver;
  content: Content;
  validation: Validation;
  lock: KeyedLock;
  seen: SeenTags;
}

export function createManifests(
  { driver, content, validation, lock, seen }: ManifestsOptions,
  name: RepositoryName,
  blobs: Blobs,
  index: ReferrersIndex,
): Manifests {
  function unknown(reference: Reference): RegistryError {
    return new RegistryError('MANIFEST_UNKNOWN', { detail: { name, reference } });
  }

  const revision = (digest: Digest) => layout.revision(name, digest);

  async function read(digest: Digest, target: Digest, signal?: AbortSignal): Promise<Manifest | undefined> {
    const bytes = await content.get(target, signal);
    if (bytes === undefined) return undefined;
    const { mediaType } = content.info(target, bytes);
    return { descriptor: { mediaType, digest, size: bytes.length }, content: bytes };
  }

  return {
    async get(reference, signal) {
      // A tag is removed before its manifest is, so a tag that is there proves the manifest: one question is enough.
      const digest = isDigest(reference)
        ? reference
        : await readLink(driver, layout.tagCurrent(name, reference), signal);
      const target = isDigest(reference) ? await readLink(driver, revision(reference), signal) : digest;
      const manifest = digest && target && (await read(digest, target, signal));
      if (!manifest) throw unknown(reference);
      return manifest;
    },

    any: async (signal) => (await statOrUndefined(driver, layout.manifests(name), signal)) !== undefined,

    async put(reference, bytes, { mediaType, tags = [] }) {
      const info = parseManifest(bytes, mediaType);
      const digest = digestOf(bytes, isDigest(reference) ? algorithmOf(reference) : 'sha256');
      if (isDigest(reference) && reference !== digest) {
        throw new RegistryError('DIGEST_INVALID', {
          message: 'provided digest did not match the manifest',
          detail: { digest: reference },
        });
      }
      const hasManifest = async (child: Digest) => (await readLink(driver, revision(child))) !== undefined;
      await checkReferences(info, validation, blobs, hasManifest);

      const allTags = new Set<Tag>(isDigest(reference) ? tags : [reference, ...tags]);
      await lock.shared(name, async () => {
        await content.put(digest, bytes, [
          linkTo(revision(digest), digest),
          ...(info.subject === undefined ? [] : [index.entry(info.subject, digest)]),
          ...Array.from(allTags, (tag) => tagTo(name, tag, digest)),
        ]);
        await rememberTags(driver, name, allTags, digest);
      });
      return { descriptor: { mediaType: info.mediaType, digest, size: bytes.length }, subject: info.subject };
    },

    async delete(digest) {
      return lock.exclusive(name, async () => {
        const target = await readLink(driver, revision(digest));
        if (target === undefined) throw unknown(digest);
        const gone: Tag[] = [];
        for await (const tag of tagsOf(driver, name, seen, {})) {
          const current = await readLink(driver, layout.tagCurrent(name, tag));
          if (current !== digest) continue;
          await remove(driver, layout.tag(name, tag));
          seen.delete(`${name}:${tag}`);
          gone.push(tag);
        }
        const bytes = await content.get(target);
        const subject = bytes && content.info(target, bytes).subject;
        if (subject !== undefined) await index.remove(subject, digest);
        await remove(driver, revision(digest));
        return gone;
      });
    },
  };
}
