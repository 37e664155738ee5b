import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { isRegistryError, RegistryError, RegistryErrors } from '../oci/errors.ts';
import type { ChildDescriptor, ManifestInfo } from '../oci/manifest.ts';
import { isNonDistributable, kindOf } from '../oci/media-type.ts';
import type { Blobs } from './registry.ts';

/** What a manifest must fulfil besides being well formed. */
export interface Validation {
  /** false: nothing that a manifest refers to needs to be there. */
  readonly references: boolean;
  /**
   * Which children of an index must be there: all, none, or those of the listed platforms. What the layers of an image
   * are is not touched by this.
   */
  readonly platforms: 'all' | 'none' | readonly { readonly os: string; readonly architecture: string }[];
  /** Which `urls` of non-distributable layers are accepted: those that match one of `allow` (empty: all) and none of `deny`. */
  readonly urls: { readonly allow: readonly RegExp[]; readonly deny: readonly RegExp[] };
}

export const defaultValidation: Validation = { references: true, platforms: 'all', urls: { allow: [], deny: [] } };

/** Blobs of one manifest that are looked for at the same time. */
const concurrency = 16;

/**
 * Checks that the repository has what a manifest refers to. A `subject` need not exist (distribution-spec, "Pushing
 * manifests with subject"). Children of an index that are not manifests by their type, such as the layers in a BuildKit
 * cache, are not looked for.
 *
 * @throws RegistryError MANIFEST_INVALID for a URL that is not accepted
 * @throws RegistryErrors one MANIFEST_BLOB_UNKNOWN for each part that is missing
 */
export async function checkReferences(
  info: ManifestInfo,
  validation: Validation,
  blobs: Blobs,
  hasManifest: (digest: Digest) => Promise<boolean>,
): Promise<void> {
  for (const blob of info.blobs) checkUrls(blob, validation);
  if (!validation.references) return;

  const parts = new Map<Digest, () => Promise<boolean>>();
  for (const blob of info.blobs) {
    if (!isElsewhere(blob)) parts.set(blob.digest, () => hasBlob(blobs, blob.digest));
  }
  for (const child of info.manifests) {
    if (!isRequired(child, validation)) continue;
    parts.set(child.digest, async () => (await hasManifest(child.digest)) || hasBlob(blobs, child.digest));
  }

  const missing = new Set<Digest>();
  const queue = parts.entries();
  const worker = async () => {
    for (const [digest, has] of queue) if (!(await has())) missing.add(digest);
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, parts.size) }, worker));

  const [first, ...others] = [...parts.keys()]
    .filter((digest) => missing.has(digest))
    .map((digest) => new RegistryError('MANIFEST_BLOB_UNKNOWN', { detail: { digest } }));
  if (first !== undefined) throw new RegistryErrors([first, ...others]);
}

function isElsewhere(blob: Descriptor): boolean {
  return isNonDistributable(blob.mediaType) && (blob.urls?.length ?? 0) > 0;
}

function isRequired(child: ChildDescriptor, { platforms }: Validation): boolean {
  if (kindOf(child.mediaType) === undefined || platforms === 'none') return false;
  if (platforms === 'all') return true;
  const { platform } = child;
  return platforms.some(({ os, architecture }) => os === platform?.os && architecture === platform?.architecture);
}

async function hasBlob(blobs: Blobs, digest: Digest): Promise<boolean> {
  try {
    await blobs.stat(digest);
    return true;
  } catch (error) {
    if (isRegistryError(error, 'BLOB_UNKNOWN')) return false;
    throw error;
  }
}

function checkUrls(blob: Descriptor, { urls: { allow, deny } }: Validation): void {
  for (const url of blob.urls ?? []) {
    const accepted =
      (allow.length === 0 || allow.some((rule) => rule.test(url))) && !deny.some((rule) => rule.test(url));
    if (!accepted) {
      throw new RegistryError('MANIFEST_INVALID', {
        message: 'a layer names a URL that validation.manifests.urls does not allow',
        detail: { digest: blob.digest, url },
      });
    }
  }
}
