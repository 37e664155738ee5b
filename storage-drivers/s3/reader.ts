import { setTimeout as delay } from 'node:timers/promises';
import { StorageError, type StorageReader, StorageUnavailableError } from '../driver.ts';
import type { Bucket } from './bucket.ts';
import { limits } from './client.ts';
import { driverName, TruncatedError } from './errors.ts';
import type { OpenedObject } from './objects.ts';

/** Attempts to go on without a byte in between. */
const maxResumes = 5;

export interface ReaderParts {
  readonly bucket: Bucket;
  readonly path: string;
  readonly key: string;
  /** Position of the first byte. */
  readonly start: number;
  readonly size: number;
  /** The answer that was opened at `start`. */
  readonly opened: OpenedObject;
  readonly signal: AbortSignal | undefined;
  /** As for `Bucket.open`. */
  readonly slow?: boolean;
}

/**
 * Streams an object. When the connection breaks, it goes on from where it was, in the same version of the object. So it
 * does when its bytes were not taken for a while: until then it keeps neither a connection nor what came ahead.
 */
export class S3Reader implements StorageReader {
  readonly size: number;
  readonly #parts: ReaderParts;
  #body: OpenedObject['body'];
  #closed = false;
  readonly #abort = (): void => void this.close();

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    this.size = parts.size;
    this.#body = parts.opened.body;
    parts.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const { signal, path } = this.#parts;
    let position = 0;
    let resumes = 0;
    try {
      while (position < this.size) {
        try {
          for await (const chunk of this.#body) {
            if (this.#closed || position === this.size) break;
            const piece = chunk.length > this.size - position ? chunk.subarray(0, this.size - position) : chunk;
            position += piece.length;
            resumes = 0;
            const unread = setTimeout(() => this.#body.destroy(), limits.unread).unref();
            try {
              yield piece;
            } finally {
              clearTimeout(unread);
            }
          }
          // Only a body that was read to its end leaves its connection for the next request.
          if (position === this.size) return;
          if (!this.#closed) throw new TruncatedError(`${position} of ${this.size} bytes came`);
        } catch (error) {
          if (position === this.size) return;
          signal?.throwIfAborted();
          resumes += 1;
          if (!this.#closed && resumes > maxResumes) {
            throw new StorageUnavailableError(driverName, path, 'its bytes stop coming', { cause: error });
          }
        }
        signal?.throwIfAborted();
        if (this.#closed)
          throw new StorageError('STORAGE_FAULT', driverName, path, 'the reader was closed before its end');
        await this.#resume(position, resumes);
      }
    } finally {
      await this.close();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#parts.signal?.removeEventListener('abort', this.#abort);
    this.#body.destroy();
  }

  async #resume(position: number, attempt: number): Promise<void> {
    const { bucket, path, key, start, opened, signal, slow = false } = this.#parts;
    this.#body.destroy();
    if (attempt > 1) await delay(100 * 2 ** attempt, undefined, signal && { signal });
    const range = { start: start + position, end: start + this.size - 1 };
    this.#body = (await bucket.open(path, key, range, opened.etag, { signal, slow })).body;
  }
}

/** No bytes, of an object that is there. */
export function emptyReader(): StorageReader {
  return { size: 0, async *[Symbol.asyncIterator]() {}, async close() {} };
}
