import { setMaxListeners } from 'node:events';
import type { Digest } from '../../oci/digest.ts';
import type { Tag } from '../../oci/name.ts';
import type { Reference } from '../../oci/reference.ts';
import { createKeyedLock } from '../../registry/keyed-lock.ts';
import type { Registry } from '../../registry/registry.ts';
import { Slots } from '../slots.ts';
import { all } from './all.ts';
import { type Amount, ImageFetch, type ImageFetchOptions, repositoryOf } from './image-fetch.ts';
import { formatImage, type ListedImage } from './image-list.ts';

export interface SyncOptions {
  /** The mirror: what is asked for comes and is kept, by its rules. */
  readonly registry: Registry;
  /** What it keeps. */
  readonly store: Registry;
  /** Resolves when a blob that came is kept, or will not be: whoever reads it has it before that. */
  readonly settled: (digest: Digest) => Promise<void>;
  readonly images: readonly ListedImage[];
  /** How many images, and how many manifests and blobs of all of them, are asked for at a time. */
  readonly jobs: number;
  /** Signatures and all else that refers to an image, too. */
  readonly referrers: boolean;
  /** Only looks: nothing is stored. */
  readonly dryRun: boolean;
  /** Ends it: what is whole by then stays. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: SyncProgress) => void;
  /** Told of each image when it is done. */
  readonly onImage?: (image: SyncedImage) => void;
}

export interface SyncProgress {
  readonly images: { readonly done: number; readonly total: number };
  /** Of the blobs that are known to be missing; more become known meanwhile. */
  readonly bytes: { readonly done: number; readonly total: number };
}

export interface SyncedImage {
  /** As it is kept: `docker.io/library/alpine:3.20`. */
  readonly name: string;
  /** Blobs that came, or that would. */
  readonly fetched: Readonly<Amount>;
  /** Blobs that were there. */
  readonly kept: Readonly<Amount>;
  /** What the operator may want to know, though nothing failed. */
  readonly remarks: readonly string[];
  /** Why it is not, or not all, there. */
  readonly error?: unknown;
}

export interface SyncReport {
  readonly images: number;
  readonly failed: number;
  readonly fetched: Readonly<Amount>;
  readonly kept: Readonly<Amount>;
}

/**
 * Fetches images ahead, so that they are served when their upstream is not there. One that fails does not keep the others from
 * coming; what is kept already is not fetched again, so that it can be run as often as one likes.
 */
export async function syncImages(options: SyncOptions): Promise<SyncReport> {
  const { images, jobs, signal, onProgress = () => {}, onImage = () => {} } = options;
  // All that is under way waits for it; Node would take that for a leak.
  setMaxListeners(0, signal);
  const progress = { images: { done: 0, total: images.length }, bytes: { done: 0, total: 0 } };
  const report = { images: 0, failed: 0, fetched: { count: 0, bytes: 0 }, kept: { count: 0, bytes: 0 } };
  const shared: ImageFetchOptions = {
    ...options,
    slots: new Slots(jobs),
    blobLock: createKeyedLock(),
    counted: new Set(),
    onBytes(done, total) {
      progress.bytes.done += done;
      progress.bytes.total += total;
      onProgress(progress);
    },
  };

  function end(name: string, { fetched, kept, remarks }: ImageFetch, failure: { readonly error?: unknown }): void {
    progress.images.done += 1;
    onProgress(progress);
    add(report.fetched, fetched);
    add(report.kept, kept);
    // Who ends it knows why it is not there.
    if ('error' in failure && signal.aborted) return;
    report.images += 1;
    if ('error' in failure) report.failed += 1;
    onImage({ name, fetched, kept, remarks, ...failure });
  }

  const slots = new Slots(jobs);
  const fetchOne = (image: ListedImage, reference: Reference) =>
    slots.run(async () => {
      if (signal.aborted) return;
      const fetch = new ImageFetch(image, shared);
      const failure = await failureOf(fetch.fetch(reference));
      end(formatImage(image.mirrored, reference), fetch, failure);
    });
  const fetchLike = async (image: ListedImage, pattern: RegExp) => {
    const tags: Tag[] = [];
    const listing = slots.run(async () => void tags.push(...(await tagsLike(options, image, pattern))));
    const failure = await failureOf(listing);
    if ('error' in failure) return end(image.mirrored.local, new ImageFetch(image, shared), failure);
    progress.images.total += tags.length - 1;
    await all(tags.map((tag) => fetchOne(image, tag)));
  };
  await all(
    images.map((image) =>
      'reference' in image.tags ? fetchOne(image, image.tags.reference) : fetchLike(image, image.tags.pattern),
    ),
  );
  return report;
}

async function failureOf(promise: Promise<unknown>): Promise<{ readonly error?: unknown }> {
  try {
    await promise;
    return {};
  } catch (error) {
    return { error };
  }
}

function add(sum: Amount, { count, bytes }: Readonly<Amount>): void {
  sum.count += count;
  sum.bytes += bytes;
}

/** @throws Error when there is none */
async function tagsLike({ registry, signal }: SyncOptions, { mirrored }: ListedImage, pattern: RegExp): Promise<Tag[]> {
  const found: Tag[] = [];
  for await (const tag of repositoryOf(registry, mirrored).tags.list({ signal }))
    if (pattern.test(tag)) found.push(tag);
  if (found.length === 0) throw new Error('no tag is like that');
  return found;
}
