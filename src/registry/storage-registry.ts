import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { RepositoryName } from '../oci/name.ts';
import { createBlobs } from './blobs.ts';
import { createContent } from './content.ts';
import { createKeyedLock } from './keyed-lock.ts';
import { createManifests } from './manifests.ts';
import { createReferrers, createReferrersIndex, createReferrersMemory } from './referrers.ts';
import type { Registry, Repository } from './registry.ts';
import { walkRepositories } from './repositories.ts';
import { createSeenTags, createTags } from './tags.ts';
import { createUploadHashes } from './upload-hashes.ts';
import { createUploads } from './uploads.ts';
import { defaultValidation, type Validation } from './validation.ts';

export interface StorageRegistryOptions {
  driver: StorageDriver;
  /** Whether clients may be sent to the storage itself for blobs, where the driver can. Default true. */
  redirect?: boolean;
  /** Nothing derived is written either. Refusing writes of clients is {@link file://./restrict.ts}'s work. Default false. */
  readOnly?: boolean;
  validation?: Validation;
  now?: () => Date;
}

/** The registry over a storage driver. All that decides an answer is in the storage; see `layout.ts`. */
export function createStorageRegistry(options: StorageRegistryOptions): Registry {
  const { driver, redirect = true, readOnly = false, validation = defaultValidation, now = () => new Date() } = options;
  const content = createContent(driver, { redirect });
  const hashes = createUploadHashes();
  const busy = new Set<string>();
  const memory = createReferrersMemory();
  const lock = createKeyedLock();
  const seen = createSeenTags();

  function repository(name: RepositoryName): Repository {
    const blobs = createBlobs(driver, content, name);
    const index = createReferrersIndex(driver, name);
    return {
      name,
      blobs,
      uploads: createUploads({ driver, content, hashes, busy, now }, name),
      manifests: createManifests({ driver, content, validation, lock, seen }, name, blobs, index),
      tags: createTags(driver, lock, seen, name),
      referrers: createReferrers({ driver, content, memory, now, readOnly }, name, index),
    };
  }

  return { repository, repositories: (page) => walkRepositories(driver, page) };
}
