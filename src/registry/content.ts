import { LRUCache } from 'lru-cache';
import {
  InvalidOffsetError,
  type StorageDriver,
  StorageError,
  type StorageObject,
  unlessMissing,
} from '../../storage-drivers/driver.ts';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { type ManifestInfo, readStoredManifest } from '../oci/manifest.ts';
import { layout } from './layout.ts';
import { exists } from './links.ts';
import type { ByteRange, ContentReader } from './registry.ts';

/** Bytes of content that is remembered: enough for the manifests and configurations of some thousand images. */
const memory = 32 * 1024 * 1024;

/** Bytes of the manifests whose meaning is remembered. */
const infoMemory = 8 * 1024 * 1024;

/** Content up to this many bytes is read at once and remembered; longer content is streamed. */
const smallSize = 64 * 1024;

/** Content of more bytes is not read at once: no manifest is that long, so it has other bytes than it should. */
const wholeSize = 16 * 1024 * 1024;

/** Digests whose size is remembered. */
const knownSizes = 50_000;

/**
 * How long what was just stored need not be looked for, in milliseconds, unless a link to it is deleted here. Whatever else
 * collects garbage must leave content alone for longer, as every push has it lying about without a manifest for a while.
 */
const freshness = 60_000;

/**
 * How long content may be there before its links are, in milliseconds, without being looked for once more. Whatever
 * deletes content that has no links must wait for longer.
 */
export const linkTime = 10_000;

/**
 * Content by digest, whatever repository it belongs to. What a digest means never changes, so what was read once may be
 * remembered for ever; *whether a repository has it* is none of this module's business and is never remembered.
 */
export interface Content {
  /**
   * Bytes of the content. Asks the storage, unless this process has stored it within the last minute.
   *
   * @returns undefined when the storage does not have it
   */
  stat(digest: Digest, signal?: AbortSignal): Promise<number | undefined>;
  /** As `stat`, but what was once known is not asked again. */
  size(digest: Digest, signal?: AbortSignal): Promise<number | undefined>;
  /** Small content as a whole. @returns undefined when the storage does not have it */
  get(digest: Digest, signal?: AbortSignal): Promise<Buffer | undefined>;
  /** @returns undefined when the storage does not have it */
  open(digest: Digest, range?: ByteRange, signal?: AbortSignal): Promise<ContentReader | undefined>;
  /** What the registry must know of a manifest that it has. */
  info(digest: Digest, content: Buffer): ManifestInfo;
  /** Stores content and then, waiting for the storage only once, the links that lead to it. */
  put(digest: Digest, content: Buffer, links: readonly StorageObject[]): Promise<void>;
  /** Says that the storage has it now, as it was put there in another way. */
  stored(digest: Digest, size: number): void;
  /** Says that it may go: somebody has taken a link to it away. */
  forget(digest: Digest): void;
  redirectUrl(digest: Digest, signal?: AbortSignal): Promise<string | undefined>;
}

export function createContent(driver: StorageDriver, options: { redirect: boolean }): Content {
  const contents = new LRUCache<Digest, Buffer>({
    maxSize: memory,
    sizeCalculation: (content) => content.length + 200,
  });
  const sizes = new LRUCache<Digest, number>({ max: knownSizes });
  const fresh = new LRUCache<Digest, true>({ max: 10_000, ttl: freshness });
  // A manifest that is read takes a few times its length in memory.
  const infos = new LRUCache<Digest, ManifestInfo>({ maxSize: infoMemory });

  /** It is not there any more, or another one. */
  function forget(digest: Digest): void {
    contents.delete(digest);
    sizes.delete(digest);
    fresh.delete(digest);
  }

  const content: Content = {
    async stat(digest, signal) {
      if (fresh.has(digest)) {
        const size = sizes.get(digest);
        if (size !== undefined) return size;
      }
      const stat = await unlessMissing(driver.stat(layout.blobData(digest), signal && { signal }));
      if (stat === undefined) {
        forget(digest);
        return undefined;
      }
      sizes.set(digest, stat.size);
      return stat.size;
    },

    async size(digest, signal) {
      return contents.get(digest)?.length ?? sizes.get(digest) ?? content.stat(digest, signal);
    },

    async get(digest, signal) {
      const known = contents.get(digest);
      if (known !== undefined) return known;
      const path = layout.blobData(digest);
      const bytes = await unlessMissing(driver.get(path, { maxSize: wholeSize, ...(signal && { signal }) }));
      if (bytes === undefined) {
        forget(digest);
        return undefined;
      }
      // It will be given out for as long as this process lives.
      if (digestOf(bytes, algorithmOf(digest)) !== digest) {
        throw new StorageError('STORAGE_FAULT', driver.name, path, 'has other bytes than its digest says');
      }
      contents.set(digest, bytes);
      return bytes;
    },

    async open(digest, range, signal) {
      const size = await content.size(digest, signal);
      if (size === undefined) return undefined;
      if (size <= smallSize) {
        const bytes = await content.get(digest, signal);
        return bytes && once(range ? bytes.subarray(range.start, range.end + 1) : bytes);
      }
      const path = layout.blobData(digest);
      const expected = range === undefined ? size : range.end - range.start + 1;
      const reader = await unlessMissing(driver.reader(path, { ...range, ...(signal && { signal }) })).catch(
        (error: unknown) => {
          if (error instanceof InvalidOffsetError) forget(digest);
          throw error;
        },
      );
      if (reader?.size === expected) return reader;
      // Deleted, replaced or cut behind our back: what the client was to be told of it is not true.
      forget(digest);
      if (reader === undefined) return undefined;
      await reader.close();
      const message = `has ${reader.size} bytes to read where there were ${expected}`;
      throw new StorageError('STORAGE_FAULT', driver.name, path, message);
    },

    info(digest, bytes) {
      const known = infos.get(digest);
      if (known !== undefined) return known;
      const info = readStoredManifest(bytes);
      infos.set(digest, info, { size: bytes.length + 500 });
      return info;
    },

    async put(digest, bytes, links) {
      const objects = [{ path: layout.blobData(digest), content: bytes }, ...links];
      const begun = performance.now();
      await driver.putAll(objects);
      // Between the content and its link nothing but its age keeps it from being evicted.
      if (performance.now() - begun > linkTime && !(await exists(driver, layout.blobData(digest)))) {
        await driver.putAll(objects);
      }
      contents.set(digest, bytes);
      content.stored(digest, bytes.length);
    },

    stored(digest, size) {
      sizes.set(digest, size);
      fresh.set(digest, true);
    },

    forget,

    async redirectUrl(digest, signal) {
      if (!options.redirect) return undefined;
      return driver.redirectUrl?.(layout.blobData(digest), { method: 'GET', ...(signal && { signal }) });
    },
  };
  return content;
}

function once(bytes: Buffer): ContentReader {
  return {
    size: bytes.length,
    async *[Symbol.asyncIterator]() {
      if (bytes.length > 0) yield bytes;
    },
    async close() {},
  };
}
