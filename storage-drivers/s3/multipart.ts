import { createHash, randomUUID } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { PathNotFoundError, StorageError } from '../driver.ts';
import type { Bucket } from './bucket.ts';
import { recordKey } from './chain.ts';
import { limits } from './client.ts';
import { driverName, genuine, isMissingKey } from './errors.ts';
import type { Segments } from './segments.ts';

/** What S3 allows. */
const maxParts = 10_000;

/** What a record says: enough to abort the upload when its process has died. */
export interface MultipartRecord {
  readonly key: string;
  readonly uploadId: string;
}

/** One multipart upload, from its creation to `complete` or `abort`. Parts may come in any order and at the same time. */
export class Multipart {
  /** Key of the record; to be deleted when the upload has ended. */
  readonly record: string;
  readonly #bucket: Bucket;
  readonly #path: string;
  readonly #key: string;
  readonly #uploadId: string;
  readonly #etags = new Map<number, string>();

  private constructor(bucket: Bucket, path: string, key: string, uploadId: string, record: string) {
    this.#bucket = bucket;
    this.#path = path;
    this.#key = key;
    this.#uploadId = uploadId;
    this.record = record;
  }

  /**
   * @param key of the object to be
   * @param owner key of the path that the bytes come from: the record is kept with it. Servers forget to list uploads, so
   *   that nobody else could tell of it when this process dies.
   */
  static async create(bucket: Bucket, path: string, key: string, owner: string): Promise<Multipart> {
    const command = () => new CreateMultipartUploadCommand({ Bucket: bucket.name, Key: key, ...bucket.attributes });
    const { UploadId = '' } = await bucket.api.call(path, async (http) =>
      genuine(await bucket.api.client.send(command(), http), 'UploadId'),
    );
    const record: MultipartRecord = { key, uploadId: UploadId };
    const multipart = new Multipart(bucket, path, key, UploadId, recordKey(owner, randomUUID()));
    try {
      await bucket.put(path, multipart.record, Buffer.from(JSON.stringify(record)));
    } catch (error) {
      await multipart.abort().catch(() => undefined);
      throw error;
    }
    return multipart;
  }

  /** @returns whether it went through at the first attempt */
  async put(number: number, content: Segments): Promise<boolean> {
    this.#checkNumber(number);
    const { size } = content;
    let attempts = 0;
    const { ETag } = await this.#bucket.api.call(
      this.#path,
      async (http) => {
        attempts += 1;
        const command = new UploadPartCommand({ ...this.#part(number), Body: content.stream(), ContentLength: size });
        return genuine(await this.#bucket.api.client.send(command, http), 'ETag');
      },
      { timeout: limits.work },
    );
    this.#etags.set(number, ETag ?? '');
    return attempts === 1;
  }

  /** @param end behind the last byte */
  async copy(number: number, source: string, start: number, end: number): Promise<void> {
    this.#checkNumber(number);
    const CopySource = copySource(this.#bucket.name, source);
    const { ETag } = await this.#bucket.api.call(
      this.#path,
      async (http) => {
        const command = new UploadPartCopyCommand({
          ...this.#part(number),
          CopySource,
          CopySourceRange: `bytes=${start}-${end - 1}`,
        });
        const { CopyPartResult = {} } = await this.#bucket.api.client.send(command, http);
        return genuine(CopyPartResult, 'ETag');
      },
      { timeout: limits.work },
    );
    this.#etags.set(number, ETag ?? '');
  }

  /** Makes the object visible. */
  async complete(): Promise<void> {
    const Parts = this.#sorted().map(([PartNumber, ETag]) => ({ PartNumber, ETag }));
    try {
      await this.#bucket.api.call(
        this.#path,
        async (http) => {
          const command = new CompleteMultipartUploadCommand({
            Bucket: this.#bucket.name,
            Key: this.#key,
            UploadId: this.#uploadId,
            MultipartUpload: { Parts },
          });
          return genuine(await this.#bucket.api.client.send(command, http), 'Key');
        },
        { timeout: limits.work },
      );
    } catch (error) {
      // An attempt whose answer was lost may have completed it, and then the upload is not known any more.
      if (!(await this.#isThere())) throw error instanceof PathNotFoundError ? lost(this.#path, error) : error;
      // Or another one has stored the same bytes, and this upload goes on.
      await this.abort();
    }
  }

  abort(): Promise<void> {
    return this.#bucket.abort(this.#path, this.#key, this.#uploadId);
  }

  /**
   * By its ETag, which S3 makes of those of the parts: an older object may have the same size. Where ETags are no MD5
   * (encryption by KMS), it is told to be missing: the client then tries again.
   */
  async #isThere(): Promise<boolean> {
    const hash = createHash('md5');
    for (const [, etag] of this.#sorted()) hash.update(unquoted(etag), 'hex');
    const expected = `${hash.digest('hex')}-${this.#etags.size}`;
    try {
      const { etag } = await this.#bucket.head(this.#path, this.#key);
      return unquoted(etag) === expected;
    } catch (error) {
      if (isMissingKey(error)) return false;
      throw error;
    }
  }

  #sorted(): [number: number, etag: string][] {
    return [...this.#etags].sort(([a], [b]) => a - b);
  }

  #part(PartNumber: number) {
    return { Bucket: this.#bucket.name, Key: this.#key, UploadId: this.#uploadId, PartNumber };
  }

  #checkNumber(number: number): void {
    if (number <= maxParts) return;
    const message = `needs more than ${maxParts} parts: raise storage.s3.chunksize to store objects of this size`;
    throw new StorageError('STORAGE_FAULT', driverName, this.#path, message);
  }
}

/** @returns undefined where it is none: whatever else has that name says nothing of an upload */
export function parseRecord(content: Buffer): MultipartRecord | undefined {
  try {
    const { key, uploadId } = JSON.parse(content.toString()) ?? {};
    return typeof key === 'string' && typeof uploadId === 'string' ? { key, uploadId } : undefined;
  } catch {
    return undefined;
  }
}

/** As the header wants it: each segment encoded, the slashes not. */
export function copySource(bucket: string, key: string): string {
  return `${bucket}/${key}`.split('/').map(encodeURIComponent).join('/');
}

function unquoted(etag: string): string {
  return etag.replaceAll('"', '');
}

/** Somebody has aborted it: that is no missing object. */
function lost(path: string, cause: unknown): StorageError {
  return new StorageError('STORAGE_FAULT', driverName, path, 'its multipart upload was ended by somebody else', {
    cause,
  });
}
