import { closeSync } from 'node:fs';
import { StorageError, type StorageReader } from '../driver.ts';
import { driverName, storageFault } from './errors.ts';
import { fill } from './object.ts';

/** In bytes. A read of this size costs little more than a copy, and two of them are all that a reader holds. */
const largeChunk = 1024 * 1024;
/** For those who come when many read: a thousand of them must not take two gigabytes. */
const smallChunk = 256 * 1024;
const many = 16;

/** Who reads now. */
let readers = 0;

export interface FileRange {
  readonly fd: number;
  readonly path: string;
  /** First byte. */
  readonly start: number;
  /** In bytes; the file had them all when it was opened. */
  readonly size: number;
}

/**
 * Streams a range of an open file through two buffers: while the caller works on one, the other is filled. Owns the
 * descriptor.
 */
export class FileReader implements StorageReader {
  readonly size: number;
  readonly #path: string;
  readonly #start: number;
  readonly #signal: AbortSignal | undefined;
  #fd: number | undefined;
  /** The read under way: the descriptor must stay open until it is done. */
  #reading: Promise<Buffer> | undefined;

  constructor(range: FileRange, signal?: AbortSignal) {
    this.#fd = range.fd;
    this.#path = range.path;
    this.#start = range.start;
    this.size = range.size;
    this.#signal = signal;
    signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    readers += 1;
    try {
      const chunkSize = readers > many ? smallChunk : largeChunk;
      const buffers = [this.#buffer(0, chunkSize), this.#buffer(1, chunkSize)];
      let position = 0;
      if (position < this.size) this.#read(buffers[0], position);
      for (let turn = 1; position < this.size; turn += 1) {
        const chunk = await this.#reading;
        this.#signal?.throwIfAborted();
        if (chunk === undefined) throw this.#fault('the reader was closed before its end');
        position += chunk.length;
        if (position < this.size) this.#read(buffers[turn % 2], position);
        yield chunk;
      }
    } catch (error) {
      throw storageFault(error, this.#path);
    } finally {
      readers -= 1;
      await this.close();
    }
  }

  async close(): Promise<void> {
    const fd = this.#fd;
    if (fd === undefined) return;
    this.#fd = undefined;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    await this.#reading?.catch(() => undefined);
    this.#reading = undefined;
    closeSync(fd);
  }

  readonly #onAbort = (): void => {
    void this.close();
  };

  /** Never more memory than the range needs, and a second buffer only when there is a second chunk. */
  #buffer(index: 0 | 1, chunkSize: number): Buffer {
    return Buffer.allocUnsafeSlow(Math.max(0, Math.min(chunkSize, this.size - index * chunkSize)));
  }

  #read(buffer: Buffer | undefined, position: number): void {
    const fd = this.#fd;
    if (fd === undefined || buffer === undefined) {
      this.#reading = undefined;
      return;
    }
    const wanted = buffer.subarray(0, Math.min(buffer.length, this.size - position));
    this.#reading = fill(fd, wanted, this.#start + position).then((length) => {
      if (length === wanted.length) return wanted;
      throw this.#fault('became shorter while it was read');
    });
    // It may fail while nobody waits for it; who asks for the chunk is told.
    this.#reading.catch(() => undefined);
  }

  #fault(message: string): StorageError {
    return new StorageError('STORAGE_FAULT', driverName, this.#path, message);
  }
}

/** Yields content that is in memory already. */
export function contentReader(content: Buffer): StorageReader {
  return {
    size: content.length,
    async *[Symbol.asyncIterator]() {
      if (content.length > 0) yield content;
    },
    close: async () => undefined,
  };
}
