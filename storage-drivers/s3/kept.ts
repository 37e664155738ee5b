import { PathNotFoundError } from '../driver.ts';
import type { Bucket } from './bucket.ts';
import { Chain, folderOf } from './chain.ts';
import { driverName } from './errors.ts';

/** What is kept for a path, and what else is there. */
export interface Kept {
  readonly chain: Chain;
  /**
   * Keys that are in nobody's chain: records of multipart uploads that others have begun, and whatever else others have
   * left. With a marker: in the folder that both are in.
   */
  readonly others: readonly string[];
}

export interface ReadKeptOptions {
  readonly marker?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What was kept when this process looked last: the listing begins at the end of its chain, if that is still there. */
  readonly known?: Kept | undefined;
}

/**
 * What is kept for a path, as one listing tells.
 *
 * @throws PathNotFoundError when the marker is not there
 */
export async function readKept(bucket: Bucket, path: string, options: ReadKeptOptions = {}): Promise<Kept> {
  const { marker, known, signal } = options;
  const key = bucket.keyOf(path);
  const markerKey = marker === undefined ? undefined : bucket.keyOf(marker);
  const prefix = markerKey === undefined ? folderOf(key) : key.slice(0, key.lastIndexOf('/') + 1);
  // Behind the last but one: what comes first then must be the last one, or it is another chain by now.
  const after = known?.chain.chunks.at(-2)?.key;
  const usable = after !== undefined && (markerKey === undefined || markerKey > after);
  const chain = (usable && known?.chain.copy()) || new Chain(key);
  const others = new Set(usable ? known?.others : []);
  let proven = !usable;
  let marked = false;
  for await (const object of bucket.listAll(path, prefix, { signal, ...(usable && { after }) })) {
    if (!proven) {
      proven = chain.endsWith(object);
      if (!proven) break;
    } else if (object.key === markerKey) marked = true;
    else if (!chain.addListed(object)) others.add(object.key);
  }
  if (!proven) return readKept(bucket, path, { marker, signal });
  if (markerKey !== undefined && !marked) throw new PathNotFoundError(driverName, marker ?? path);
  return { chain, others: [...others] };
}
