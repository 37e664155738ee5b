import { randomUUID } from 'node:crypto';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { LRUCache } from 'lru-cache';
import {
  type CheckOptions,
  type DatedObject,
  type DeleteOptions,
  type GetOptions,
  InvalidOffsetError,
  type KeptOptions,
  type KeptStat,
  type ListOptions,
  PathNotFoundError,
  type RangeOptions,
  type ReadOptions,
  type RedirectOptions,
  type StorageDriver,
  type StorageEntry,
  StorageError,
  type StorageObject,
  type StorageReader,
  type StorageStat,
  type StorageWriter,
  unlessMissing,
  type WriterOptions,
} from '../driver.ts';
import { assemble, type CopyLimits } from './assemble.ts';
import { Bucket, later } from './bucket.ts';
import { Chain, isRecordKey } from './chain.ts';
import { createSigner } from './client.ts';
import { driverName, statusOf } from './errors.ts';
import { type Kept, readKept } from './kept.ts';
import { foldersAmong, listNames } from './listing.ts';
import { type MultipartRecord, parseRecord } from './multipart.ts';
import type { S3Options } from './options.ts';
import { readPieces } from './pieces.ts';
import { emptyReader, S3Reader } from './reader.ts';
import { Segments } from './segments.ts';
import { BusyPaths, S3Writer } from './writer.ts';

/** How long a client may use the URL that it was sent to, in seconds; as in distribution. */
const redirectLifetime = 1200;

/** How long a signed URL is given out, in milliseconds: signing costs more than everything else in a redirect. */
const redirectReuse = 300_000;
const rememberedRedirects = 10_000;

/** Uploads whose chunks are remembered, so that they need not be looked up, and chunks of all of them. */
const rememberedUploads = 10_000;
const rememberedChunks = 200_000;

/** What is below an upload's key, as this process left it. */
interface Remembered extends Kept {
  /** Keys of this process's own that are of no use any more. */
  readonly spent: readonly string[];
}

/** Objects in a bucket, under the keys that CNCF distribution uses. Does no I/O yet. */
export function createS3Driver(options: S3Options): StorageDriver {
  return new S3Driver(options);
}

class S3Driver implements StorageDriver {
  readonly name = driverName;
  readonly remote = true;
  readonly #options: S3Options;
  readonly #bucket: Bucket;
  readonly #busy = new BusyPaths();
  readonly #remembered = new LRUCache<string, Remembered>({
    max: rememberedUploads,
    maxSize: rememberedChunks,
    sizeCalculation: ({ chain, others, spent }) => 1 + chain.chunks.length + others.length + spent.length,
  });
  readonly #redirects = new LRUCache<string, string>({ max: rememberedRedirects, ttl: redirectReuse });
  #signer: S3Client | undefined;

  constructor(options: S3Options) {
    this.#options = options;
    this.#bucket = new Bucket(options);
  }

  get(path: string, options?: GetOptions): Promise<Buffer> {
    return this.#bucket.get(path, this.#bucket.keyOf(path), options);
  }

  put(path: string, content: Uint8Array): Promise<void> {
    return this.#bucket.put(path, this.#bucket.keyOf(path), content);
  }

  async putAll(objects: readonly StorageObject[]): Promise<void> {
    for (const { path, content } of objects) await this.put(path, content);
  }

  async reader(path: string, options: RangeOptions = {}): Promise<StorageReader> {
    const { start = 0, end, signal } = options;
    const bucket = this.#bucket;
    const key = bucket.keyOf(path);
    // An empty object has no range that the server would answer, and neither has the end of an object.
    if (end !== undefined && end < start) return this.#readNothing(path, start, options);
    const range = start === 0 && end === undefined ? undefined : { start, end };
    try {
      const opened = await bucket.open(path, key, range, undefined, { signal, slow: true });
      return new S3Reader({ bucket, path, key, start, size: opened.size, opened, signal, slow: true });
    } catch (error) {
      if (error instanceof StorageError && statusOf(error.cause) === 416)
        return this.#readNothing(path, start, options);
      throw error;
    }
  }

  async writer(path: string, { append = false, marker, to, version }: WriterOptions = {}): Promise<StorageWriter> {
    this.#busy.take(path);
    const bucket = this.#bucket;
    const key = bucket.keyOf(path);
    try {
      let below: Kept = { chain: new Chain(append ? key : `${key}.${randomUUID()}`), others: [] };
      /** When the marker was seen, as far as anybody asks for it. */
      let seen: number | undefined;
      if (append) {
        const known = this.#remembered.get(path);
        if (known !== undefined && known.chain.version === version && bucket.conditional) below = known;
        else {
          seen = performance.now();
          below = await readKept(bucket, path, { marker, known });
        }
      }
      const { others } = below;
      const chain = below.chain.copy();
      return new S3Writer({
        bucket,
        path,
        owner: chain.owner,
        chain,
        append,
        to,
        chunkSize: this.#options.chunksize,
        copy: this.#copy,
        checkMarker: async (age) => {
          const now = performance.now();
          if (!append || marker === undefined || (seen !== undefined && now - seen <= age)) return;
          await bucket.head(marker, bucket.keyOf(marker));
          seen = now;
        },
        readKept: () => this.#readChain(path, below.chain),
        remember: (left, spent) => {
          if (append) this.#remembered.set(path, { chain: left, others, spent });
        },
        forget: () => void this.#remembered.delete(path),
        take: () => this.#busy.take(path),
        release: () => this.#busy.release(path),
      });
    } catch (error) {
      this.#busy.release(path);
      throw error;
    }
  }

  /** The marker alone says it: what is committed stays, until it is deleted together with that. */
  begin(_path: string, marker: StorageObject): Promise<void> {
    return this.put(marker.path, marker.content);
  }

  async kept(path: string, { marker, signal }: KeptOptions = {}): Promise<KeptStat> {
    // Who names no marker wants to know what is there, whatever is remembered.
    const known = marker === undefined ? undefined : this.#remembered.get(path);
    const { chain, others } = await readKept(this.#bucket, path, { marker, known, signal });
    if (chain.size === 0 && marker === undefined) throw new PathNotFoundError(driverName, path);
    if (marker !== undefined) this.#remembered.set(path, { chain, others, spent: [] });
    return { size: chain.size, modified: chain.chunks.at(-1)?.modified };
  }

  async stat(path: string, options?: ReadOptions): Promise<StorageStat> {
    const key = this.#bucket.keyOf(path);
    try {
      const { size = 0, modified } = await this.#bucket.head(path, key, options);
      return { kind: 'object', size, modified };
    } catch (error) {
      if (!(error instanceof PathNotFoundError)) throw error;
      const below = await this.#bucket.list(path, { prefix: `${key}/`, 'max-keys': '1' }, options);
      if (below.objects.length === 0) throw error;
      return { kind: 'folder', size: 0, modified: undefined };
    }
  }

  list(path: string, options?: ListOptions): AsyncIterable<StorageEntry> {
    return listNames(this.#bucket, path, options);
  }

  folders(path: string, names: readonly string[], options?: ReadOptions): Promise<readonly string[]> {
    return foldersAmong(this.#bucket, path, names, options?.signal);
  }

  async *objects(path: string, options?: ReadOptions): AsyncGenerator<DatedObject> {
    const prefix = `${this.#bucket.keyOf(path)}/`;
    for await (const { key, modified } of this.#bucket.listAll(path, prefix, options)) {
      yield { path: key.slice(prefix.length), modified };
    }
  }

  async delete(path: string, { names }: DeleteOptions = {}): Promise<void> {
    const bucket = this.#bucket;
    const key = bucket.keyOf(path);
    const known = names?.map((name) => this.#remembered.get(`${path}/${name}`));
    if (names !== undefined && known?.some((below) => below !== undefined)) {
      const keys = names.map((name) => `${key}/${name}`);
      const others: string[] = [];
      for (const below of known) {
        if (below === undefined) continue;
        // The next one may have come from another process, which will be told that the upload had ended.
        keys.push(...below.chain.chunks.map((chunk) => chunk.key), below.chain.nextKey, ...below.spent);
        others.push(...below.others);
      }
      for (const name of names) this.#remembered.delete(`${path}/${name}`);
      return this.#delete(path, keys, others);
    }
    const keys: string[] = [];
    for await (const below of bucket.listAll(path, `${key}/`)) keys.push(below.key);
    if (keys.length === 0) {
      await bucket.head(path, key);
      keys.push(key);
    }
    await this.#delete(path, [], keys);
  }

  async move(from: string, to: string): Promise<undefined> {
    const bucket = this.#bucket;
    const [key, target] = [bucket.keyOf(from), bucket.keyOf(to)];
    const { size = 0, etag, modified } = await bucket.head(from, key);
    const record = await assemble({
      bucket,
      path: from,
      to: target,
      owner: target,
      chain: { chunks: [{ key, start: 0, size, etag, modified }] },
      tail: new Segments(),
      copy: this.#copy,
    });
    await bucket.delete(from, record === undefined ? [key] : [key, record]);
  }

  async lastWrite(path: string, options?: ReadOptions): Promise<Date | undefined> {
    const bucket = this.#bucket;
    let last: Date | undefined;
    for await (const { key, modified } of bucket.listAll(path, `${bucket.keyOf(path)}/`, options)) {
      last = later(last, modified);
      // Its parts are seen nowhere else.
      const record = isRecordKey(key) ? await this.#record(path, key) : undefined;
      if (record !== undefined) last = later(last, await bucket.lastPart(path, record.key, record.uploadId, options));
    }
    return last;
  }

  async redirectUrl(path: string, { method }: RedirectOptions): Promise<string | undefined> {
    // What is signed for GET is refused for HEAD.
    if (method !== 'GET') return undefined;
    const known = this.#redirects.get(path);
    if (known !== undefined) return known;
    this.#signer ??= createSigner(this.#options);
    const command = new GetObjectCommand({ Bucket: this.#options.bucket, Key: this.#bucket.keyOf(path) });
    const url = await getSignedUrl(this.#signer, command, { expiresIn: redirectLifetime });
    this.#redirects.set(path, url);
    return url;
  }

  async check({ write = false, signal }: CheckOptions = {}): Promise<void> {
    const path = '/_berth/check';
    // A listing has a body also when it fails, so that it tells what is wrong.
    await this.#bucket.list(path, { prefix: this.#bucket.keyOf(path), 'max-keys': '1' }, { signal, attempts: 1 });
    if (!write) return;
    const probe = `${path}-${randomUUID()}`;
    await this.put(probe, Buffer.from('berth can write here'));
    await this.#bucket.delete(probe, [this.#bucket.keyOf(probe)]);
  }

  async close(): Promise<void> {
    this.#bucket.api.close();
    this.#signer?.destroy();
  }

  get #copy(): CopyLimits {
    const { multipartcopychunksize, multipartcopythresholdsize, multipartcopymaxconcurrency } = this.#options;
    return {
      partSize: multipartcopychunksize,
      threshold: multipartcopythresholdsize,
      concurrency: multipartcopymaxconcurrency,
    };
  }

  /** @throws PathNotFoundError, InvalidOffsetError */
  async #readNothing(path: string, start: number, { signal }: RangeOptions): Promise<StorageReader> {
    const { size = 0 } = await this.#bucket.head(path, this.#bucket.keyOf(path), { signal });
    if (start > size) throw new InvalidOffsetError(driverName, path, start);
    return emptyReader();
  }

  #readChain(path: string, chain: Chain): StorageReader {
    const sources = chain.chunks.map(({ key, size }) => ({ key, start: 0, end: size }));
    const pieces = readPieces(this.#bucket, path, sources);
    return {
      size: chain.size,
      [Symbol.asyncIterator]: () => pieces,
      close: async () => void pieces.return(undefined),
    };
  }

  /** Deletes keys. @param others may be records: the uploads that they name are aborted before */
  async #delete(path: string, keys: readonly string[], others: readonly string[]): Promise<void> {
    let fault: { readonly error: unknown } | undefined;
    const deleted = [...keys];
    for (const key of others) {
      try {
        const record = isRecordKey(key) ? await this.#record(path, key) : undefined;
        if (record !== undefined) await this.#bucket.abort(path, record.key, record.uploadId);
        deleted.push(key);
      } catch (error) {
        // Its record has to stay, for the next one who tries; all else goes.
        fault = { error };
      }
    }
    if (deleted.length > 0) await this.#bucket.delete(path, deleted);
    if (fault !== undefined) throw fault.error;
  }

  /** What a record names; undefined when it is gone, as somebody else deletes the same folder, or is none. */
  async #record(path: string, key: string): Promise<MultipartRecord | undefined> {
    const content = await unlessMissing(this.#bucket.get(path, key));
    return content && parseRecord(content);
  }
}
