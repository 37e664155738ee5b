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
  type WriterOptions,
} from '../driver.ts';
import { Bucket } from './bucket.ts';
import { Chain, isRecordKey } from './chain.ts';
import { createSigner } from './client.ts';
import { driverName, statusOf } from './errors.ts';
import { readChain } from './kept.ts';
import { foldersAmong, listNames } from './listing.ts';
import type { MultipartRecord } from './multipart.ts';
import type { S3Options } from './options.ts';
import { emptyReader, S3Reader } from './reader.ts';
import { BusyPaths, S3Writer } from './writer.ts';

/** How long a client may use the URL that it was sent to, in seconds; as in distribution. */
const redirectLifetime = 1200;

/** How long a signed URL is given out, in milliseconds: signing costs more than everything else in a redirect. */
const redirectReuse = 300_000;
const rememberedRedirects = 10_000;

/** Uploads whose chunks are remembered, so that they need not be looked up. */
const rememberedUploads = 10_000;

/** What is below an upload's key, as this process left it. */
interface Remembered {
  readonly chain: Chain;
  readonly records: readonly string[];
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
  readonly #remembered = new LRUCache<string, Remembered>({ max: rememberedUploads });
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
      let chain = new Chain(append ? key : `${key}.${randomUUID()}`);
      let marked = !append || marker === undefined;
      if (append) {
        const known = version === undefined || !bucket.conditional ? undefined : this.#remembered.get(path)?.chain;
        if (known !== undefined && known.version === version) chain = known.copy();
        else {
          chain = await readChain(bucket, path, marker, undefined);
          marked = true;
        }
      }
      const { chunksize, multipartcopychunksize, multipartcopythresholdsize, multipartcopymaxconcurrency } =
        this.#options;
      const kept = chain.copy();
      return new S3Writer({
        bucket,
        path,
        owner: chain.owner,
        chain,
        append,
        to,
        chunkSize: chunksize,
        copy: {
          partSize: multipartcopychunksize,
          threshold: multipartcopythresholdsize,
          concurrency: multipartcopymaxconcurrency,
        },
        checkMarker: async () => {
          if (!marked && marker !== undefined) await bucket.head(marker, bucket.keyOf(marker));
          marked = true;
        },
        readKept: () => this.#readChain(path, kept),
        remember: (left, records) => {
          if (append) this.#remembered.set(path, { chain: left, records });
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
    const chain = await readChain(this.#bucket, path, marker, signal);
    if (chain.size === 0 && marker === undefined) throw new PathNotFoundError(driverName, path);
    this.#remembered.set(path, { chain, records: [] });
    return { size: chain.size, modified: chain.chunks.at(-1)?.modified };
  }

  async stat(path: string, options?: ReadOptions): Promise<StorageStat> {
    const key = this.#bucket.keyOf(path);
    try {
      const { size = 0, modified } = await this.#bucket.head(path, key, options);
      return { kind: 'object', size, modified };
    } catch (error) {
      if (!(error instanceof PathNotFoundError)) throw error;
      const below = await this.#bucket.list(path, { Prefix: `${key}/`, MaxKeys: 1 }, options);
      if (!below.Contents?.length) throw error;
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
    for await (const { Key = '', LastModified } of this.#bucket.listAll(path, prefix, options)) {
      yield { path: Key.slice(prefix.length), modified: LastModified };
    }
  }

  async delete(path: string, { names }: DeleteOptions = {}): Promise<void> {
    const bucket = this.#bucket;
    const key = bucket.keyOf(path);
    if (names?.some((name) => this.#remembered.has(`${path}/${name}`))) {
      const known = names.flatMap((name) => [`${key}/${name}`, ...this.#takeRemembered(`${path}/${name}`)]);
      return bucket.delete(path, known);
    }
    const keys: string[] = [];
    for await (const { Key = '' } of bucket.listAll(path, `${key}/`)) {
      if (isRecordKey(Key)) await this.#abortRecorded(path, Key);
      keys.push(Key);
    }
    if (keys.length === 0) {
      await bucket.head(path, key);
      keys.push(key);
    }
    await bucket.delete(path, keys);
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
    await this.#bucket.list(path, { Prefix: this.#bucket.keyOf(path), MaxKeys: 1 }, { signal, attempts: 1 });
    if (!write) return;
    const probe = `${path}-${randomUUID()}`;
    await this.put(probe, Buffer.from('berth can write here'));
    await this.#bucket.delete(probe, [this.#bucket.keyOf(probe)]);
  }

  async close(): Promise<void> {
    this.#bucket.api.close();
    this.#signer?.destroy();
  }

  /** @throws PathNotFoundError, InvalidOffsetError */
  async #readNothing(path: string, start: number, { signal }: RangeOptions): Promise<StorageReader> {
    const { size = 0 } = await this.#bucket.head(path, this.#bucket.keyOf(path), { signal });
    if (start > size) throw new InvalidOffsetError(driverName, path, start);
    return emptyReader();
  }

  #readChain(path: string, chain: Chain): StorageReader {
    const bucket = this.#bucket;
    let current: StorageReader | undefined;
    return {
      size: chain.size,
      async *[Symbol.asyncIterator]() {
        for (const { key, size } of chain.chunks) {
          const opened = await bucket.open(path, key, undefined, undefined);
          current = new S3Reader({ bucket, path, key, start: 0, size, opened, signal: undefined });
          yield* current;
        }
      },
      close: async () => current?.close(),
    };
  }

  #takeRemembered(path: string): string[] {
    const { chain, records = [] } = this.#remembered.get(path) ?? {};
    this.#remembered.delete(path);
    return [...(chain?.chunks ?? []).map(({ key }) => key), ...records];
  }

  /** Ends the multipart upload of a process that died. */
  async #abortRecorded(path: string, key: string): Promise<void> {
    const content = await this.#bucket.get(path, key).catch((error: unknown) => {
      // Somebody else deletes the same folder.
      if (error instanceof PathNotFoundError) return undefined;
      throw error;
    });
    if (content === undefined) return;
    const record: unknown = JSON.parse(content.toString());
    if (!isRecord(record))
      throw new StorageError('STORAGE_FAULT', driverName, path, `${key} is no record of an upload`);
    await this.#bucket.abort(path, record.key, record.uploadId);
  }
}

function isRecord(value: unknown): value is MultipartRecord {
  return typeof value === 'object' && value !== null && 'key' in value && 'uploadId' in value;
}
