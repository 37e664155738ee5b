import { setMaxListeners } from 'node:events';
import type { Tag } from '../../oci/name.ts';
import type { Registry } from '../../registry/registry.ts';
import { type Amount, ImageFetch, type ImageFetchOptions, repositoryOf } from './image-fetch.ts';
import { formatImage, type ListedImage } from './image-list.ts';
import { all, createLimit } from './limit.ts';

export interface SyncOptions {
  /** The mirror: what is asked for comes and is kept, by its rules. */
  readonly registry: Registry;
  /** What it keeps. */
  readonly store: Registry;
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
    limit: createLimit(jobs),
    counted: new Set(),
    onBytes(done, total) {
      progress.bytes.done += done;
      progress.bytes.total += total;
      onProgress(progress);
    },
  };

  async function one(image: ListedImage, name: string, run: (fetch: ImageFetch) => Promise<unknown>): Promise<void> {
    if (signal.aborted) return;
    const fetch = new ImageFetch(image, shared);
    const error = await run(fetch).then(
      () => undefined,
      (reason: unknown) => ({ error: reason }),
    );
    progress.images.done += 1;
    onProgress(progress);
    // Who ends it knows why.
    if (error !== undefined && signal.aborted) return;
    const { fetched, kept, remarks } = fetch;
    report.images += 1;
    if (error !== undefined) report.failed += 1;
    for (const [sum, amount] of [
      [report.fetched, fetched],
      [report.kept, kept],
    ] as const) {
      sum.count += amount.count;
      sum.bytes += amount.bytes;
    }
    onImage({ name, fetched, kept, remarks, ...error });
  }

  const perImage = createLimit(jobs);
  const oneOf = (image: ListedImage, reference: Parameters<ImageFetch['fetch']>[0]) =>
    perImage(() => one(image, formatImage(image.mirrored, reference), (fetch) => fetch.fetch(reference)));
  await all(
    images.map(async (image) => {
      if ('reference' in image.tags) return oneOf(image, image.tags.reference);
      const { pattern } = image.tags;
      const tags: Tag[] = [];
      try {
        tags.push(...(await perImage(() => tagsLike(options.registry, image, pattern, signal))));
      } catch (error) {
        return one(image, image.mirrored.local, () => Promise.reject(error));
      }
      progress.images.total += tags.length - 1;
      onProgress(progress);
      return all(tags.map((tag) => oneOf(image, tag)));
    }),
  );
  return report;
}

/** @throws Error when there is none */
async function tagsLike(
  registry: Registry,
  { mirrored }: ListedImage,
  pattern: RegExp,
  signal: AbortSignal,
): Promise<Tag[]> {
  const found: Tag[] = [];
  const { tags } = repositoryOf(registry, mirrored);
  for await (const tag of tags.list({ signal })) if (pattern.test(tag)) found.push(tag);
  if (found.length === 0) throw new Error('no tag is like that');
  return found;
}
