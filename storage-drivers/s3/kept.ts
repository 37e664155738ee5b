import { PathNotFoundError } from '../driver.ts';
import type { Bucket } from './bucket.ts';
import { Chain, folderOf } from './chain.ts';
import { driverName } from './errors.ts';

/**
 * What is kept for a path, as one listing tells: with a marker, that of the folder which both are in.
 *
 * @throws PathNotFoundError when the marker is not there
 */
export async function readChain(
  bucket: Bucket,
  path: string,
  marker: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Chain> {
  const key = bucket.keyOf(path);
  const chain = new Chain(key);
  const markerKey = marker === undefined ? undefined : bucket.keyOf(marker);
  const prefix = markerKey === undefined ? folderOf(key) : key.slice(0, key.lastIndexOf('/') + 1);
  let marked = false;
  for await (const object of bucket.listAll(path, prefix, { signal })) {
    if (object.Key === markerKey) marked = true;
    else chain.addListed(object);
  }
  if (markerKey !== undefined && !marked) throw new PathNotFoundError(driverName, marker ?? path);
  return chain;
}
