import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { StorageError, type StorageReader, StorageUnavailableError } from '../driver.ts';
import type { Bucket } from './bucket.ts';
import { driverName, TruncatedError } from './errors.ts';

/** Bytes that are read ahead, and then given as one chunk: the client of HTTP has pieces of 64 KiB at most. */
const gatherSize = 256 * 1024;

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
  readonly opened: GetObjectCommandOutput;
  readonly signal: AbortSignal | undefined;
}

/** Streams an object. When the connection breaks, it goes on from where it was, in the same version of the object. */
export class S3Reader implements StorageReader {
  readonly size: number;
  readonly #parts: ReaderParts;
  #body: Readable;
  #closed = false;
  readonly #abort = (): void => void this.close();

  constructor(parts: ReaderParts) {
    this.#parts = parts;
    this.size = parts.size;
    this.#body = bodyOf(parts.opened);
    parts.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const { signal, path } = this.#parts;
    let position = 0;
    let resumes = 0;
    try {
      while (position < this.size) {
        try {
          for await (const chunk of gathered(this.#body)) {
            if (this.#closed || position === this.size) break;
            const piece = chunk.length > this.size - position ? chunk.subarray(0, this.size - position) : chunk;
            position += piece.length;
            resumes = 0;
            yield piece;
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
    destroy(this.#body);
  }

  async #resume(position: number, attempt: number): Promise<void> {
    const { bucket, path, key, start, opened, signal } = this.#parts;
    destroy(this.#body);
    if (attempt > 1) await delay(100 * 2 ** attempt, undefined, signal && { signal });
    const range = { start: start + position, end: start + this.size - 1 };
    this.#body = bodyOf(await bucket.open(path, key, range, opened.ETag, { signal }));
  }
}

/** No bytes, of an object that is there. */
export function emptyReader(): StorageReader {
  return { size: 0, async *[Symbol.asyncIterator]() {}, async close() {} };
}

export function bodyOf(output: GetObjectCommandOutput): Readable {
  return output.Body as Readable;
}

/** A body that nobody reads any more: its fault is nobody's. */
export function destroy(body: Readable): void {
  body.on('error', () => undefined);
  body.destroy();
}

/** The body in few large chunks; the next one is gathered while one is in use. */
async function* gathered(body: Readable): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = [];
  let size = 0;
  // One that was closed before anybody read it says nothing any more.
  let over = body.destroyed;
  let fault: unknown;
  let wake = (): void => undefined;
  const take = (piece: Buffer) => {
    pieces.push(piece);
    size += piece.length;
    if (size >= gatherSize) body.pause();
    wake();
  };
  const end = (error?: unknown) => {
    over = true;
    fault ??= error;
    wake();
  };
  body.on('data', take).once('end', end).once('error', end).once('close', end);
  try {
    while (!over || size > 0) {
      if (size === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const [first] = pieces;
      const chunk = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces, size);
      pieces = [];
      size = 0;
      body.resume();
      yield chunk;
    }
    if (fault !== undefined) throw fault;
  } finally {
    body.off('data', take);
  }
}
