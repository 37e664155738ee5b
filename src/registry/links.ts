import {
  type DeleteOptions,
  ObjectTooLargeError,
  PathNotFoundError,
  type StorageDriver,
  type StorageObject,
  unlessMissing,
} from '../../storage-drivers/driver.ts';
import { type Digest, tryParseDigest } from '../oci/digest.ts';

/** In bytes; a link to a sha512 digest has 135. */
const maxLinkSize = 256;

/**
 * The digest in the `link` of a folder, or undefined when there is none. An empty or broken link, as distribution 2
 * leaves behind after a crash, counts as none, and so does anything longer than a link: it promises nothing.
 */
export async function readLink(
  driver: StorageDriver,
  folder: string,
  signal?: AbortSignal,
): Promise<Digest | undefined> {
  try {
    const content = await driver.get(`${folder}/link`, { maxSize: maxLinkSize, ...(signal && { signal }) });
    return tryParseDigest(content.toString('latin1').trim());
  } catch (error) {
    if (error instanceof PathNotFoundError || error instanceof ObjectTooLargeError) return undefined;
    throw error;
  }
}

/** The link of a folder, to be stored. */
export function linkTo(folder: string, digest: Digest): StorageObject {
  return { path: `${folder}/link`, content: Buffer.from(digest, 'latin1') };
}

/** Deletes an object or a folder. @returns whether it was there */
export async function remove(driver: StorageDriver, path: string, options?: DeleteOptions): Promise<boolean> {
  return (await unlessMissing(driver.delete(path, options).then(() => true))) ?? false;
}

export async function exists(driver: StorageDriver, path: string): Promise<boolean> {
  return (await statOrUndefined(driver, path)) !== undefined;
}

export function statOrUndefined(driver: StorageDriver, path: string, signal?: AbortSignal) {
  return unlessMissing(driver.stat(path, signal && { signal }));
}
