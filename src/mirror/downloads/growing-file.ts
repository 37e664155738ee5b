import { type FileHandle, open, unlink } from 'node:fs/promises';
import type { ByteRange, ContentReader } from '../../registry/registry.ts';

/** Bytes that are read of the file at once. */
const readSize = 256 * 1024;

/** Bytes that are not given out before the whole is known to be right: no reader gets all of what is wrong. */
const heldBack = 64 * 1024;

/**
 * A file that one party writes from its beginning to its end, and that any number of others read meanwhile, each at its own
 * pace. Readers wait for what is not there yet.
 */
export class GrowingFile {
  readonly path: string;
  /** In bytes, in the end. */
  readonly expected: number;
  readonly #handle: FileHandle;
  #written = 0;
  #state: 'growing' | 'whole' | { readonly failed: unknown } = 'growing';
  /** Woken when bytes were added, or none will be. */
  #waiting: (() => void)[] = [];
  #readers = 0;
  #closing = false;

  private constructor(path: string, expected: number, handle: FileHandle) {
    this.path = path;
    this.expected = expected;
    this.#handle = handle;
  }

  /** @param path of a file that is not there yet */
  static async create(path: string, expected: number): Promise<GrowingFile> {
    return new GrowingFile(path, expected, await open(path, 'wx+', 0o600));
  }

  get written(): number {
    return this.#written;
  }

  /** How many read it now. */
  get readers(): number {
    return this.#readers;
  }

  /** Adds bytes at the end. @throws RangeError when there are more than were expected; what a write throws */
  async append(chunk: Uint8Array): Promise<void> {
    if (this.#written + chunk.length > this.expected) throw new RangeError('more bytes than were announced');
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await this.#handle.write(chunk, done, chunk.length - done, this.#written);
      done += bytesWritten;
      this.#written += bytesWritten;
    }
    this.#wake();
  }

  /** What was written is whole and right: readers get the rest. */
  finish(): void {
    this.#state = 'whole';
    this.#wake();
  }

  /** Nothing more comes: readers fail with this. */
  fail(error: unknown): void {
    this.#state = { failed: error };
    this.#wake();
  }

  /** Bytes in order, as they come. Counts as a reader until it is read to its end or closed. */
  read({ start, end }: ByteRange, signal?: AbortSignal): ContentReader {
    this.#readers += 1;
    let closed = false;
    const close = async () => {
      if (closed) return;
      closed = true;
      this.#readers -= 1;
      signal?.removeEventListener('abort', wake);
      await this.#closeIfDone();
    };
    const wake = () => this.#wake();
    signal?.addEventListener('abort', wake);
    const bytes = this.#bytes(start, end, () => closed || signal?.aborted === true);
    return {
      size: end - start + 1,
      close,
      async *[Symbol.asyncIterator]() {
        try {
          yield* bytes;
          signal?.throwIfAborted();
        } finally {
          await close();
        }
      },
    };
  }

  async *#bytes(start: number, end: number, isOver: () => boolean): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafe(Math.min(readSize, end - start + 1));
    for (let position = start; position <= end; ) {
      const available = await this.#available(position, isOver);
      if (available === 0) return;
      const length = Math.min(available, buffer.length, end - position + 1);
      const { bytesRead } = await this.#handle.read(buffer, 0, length, position);
      if (bytesRead === 0) throw new Error(`${this.path} is shorter than it was`);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** Waits until there are bytes to be read behind a position. @returns how many; 0 when the reader is over */
  async #available(position: number, isOver: () => boolean): Promise<number> {
    for (;;) {
      if (isOver()) return 0;
      if (typeof this.#state === 'object') throw this.#state.failed;
      const limit = this.#state === 'whole' ? this.#written : Math.min(this.#written, this.expected - heldBack);
      if (position < limit) return limit - position;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Removes the file; those who read it read on. */
  async release(): Promise<void> {
    await unlink(this.path).catch(() => undefined);
    this.#closing = true;
    await this.#closeIfDone();
  }

  async #closeIfDone(): Promise<void> {
    if (!this.#closing || this.#readers > 0) return;
    this.#closing = false;
    await this.#handle.close();
  }
}
