import { type FileHandle, open, unlink } from 'node:fs/promises';
import type { Body, ByteRange, ContentReader } from '../../registry/registry.ts';
import { SpareMemory } from '../../wire/spare-memory.ts';
import { RecentBytes } from './recent-bytes.ts';

/** Bytes that are read of the file at once: by a client, and on the way into the storage. */
const readSize = 256 * 1024;
const storeSize = 1024 * 1024;

/** Of readers: a crowd has much of it. */
const spare = new SpareMemory(readSize, 64);

/** Bytes that are not given out before the whole is known to be right: no reader gets all of what is wrong. */
const heldBack = 64 * 1024;

/** The file cannot be written: the disk is full, most likely. What the upstream sends is none the worse. */
export class SpoolError extends Error {
  override readonly name: string = 'SpoolError';
}

/**
 * A file that one party writes from its beginning to its end, and that any number of others read meanwhile, each at its own
 * pace. Readers wait for what is not there yet. The disk comes after: it is waited for only when it falls behind by as much
 * as there is memory for, and who reads as fast as the bytes come gets them from there.
 */
export class GrowingFile {
  readonly #path: string;
  readonly #expected: number | undefined;
  readonly #object: string | undefined;
  readonly #handle: FileHandle;
  readonly #recent: RecentBytes;
  /** How many bytes are in the file; those behind are in memory. */
  #flushed = 0;
  #flushing: Promise<void> | undefined;
  #fault: SpoolError | undefined;
  #written = 0;
  /** Whether somebody was told that there is something to be read. */
  #given = false;
  #state: 'growing' | 'whole' | { readonly failed: unknown } = 'growing';
  /** Woken when bytes were added, or none will be. */
  #waiting: (() => void)[] = [];
  /** Wakes the one party that writes, when there is memory for more or never will be. */
  #writer = (): void => undefined;
  #readers = 0;
  #released = false;
  #closed = false;

  private constructor(path: string, expected: number | undefined, object: string | undefined, handle: FileHandle) {
    this.#path = path;
    this.#expected = expected;
    this.#object = object;
    this.#handle = handle;
    this.#recent = new RecentBytes(expected);
  }

  /**
   * @param path of a file that is not there yet
   * @param expected in bytes, in the end; undefined: nobody knows, and nothing is given out before the end
   * @param object its path in the storage, if it is there: what it holds may then be moved to its place
   */
  static async create(path: string, expected: number | undefined, object?: string): Promise<GrowingFile> {
    // It may become an object, which other programs read, too; its folder is for this user alone.
    return new GrowingFile(path, expected, object, await open(path, 'wx+', 0o666));
  }

  get written(): number {
    return this.#written;
  }

  /** How many read it now. */
  get readers(): number {
    return this.#readers;
  }

  /** Adds bytes at the end, which are copied. @throws SpoolError, if need be of bytes that were added before */
  async append(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.length > 0; ) {
      const space = this.#recent.size - (this.#written - this.#flushed);
      if (this.#fault !== undefined) throw this.#fault;
      if (space === 0) {
        await new Promise<void>((resolve) => {
          this.#writer = resolve;
        });
        continue;
      }
      const added = rest.subarray(0, space);
      this.#recent.add(added);
      this.#written += added.length;
      rest = rest.subarray(added.length);
      this.#wake();
      this.#flushing ??= this.#flush();
    }
  }

  /** Begun when there is something to be written. Never rejects. */
  async #flush(): Promise<void> {
    try {
      while (this.#flushed < this.#written) {
        const bytes = this.#recent.from(this.#flushed);
        const { bytesWritten } = await this.#handle.write(bytes, 0, bytes.length, this.#flushed);
        this.#flushed += bytesWritten;
        this.#writer();
      }
    } catch (cause) {
      this.#fault = this.#unwritable(cause);
      this.#writer();
    }
    this.#flushing = undefined;
  }

  /**
   * Throws away what was written, unless somebody has been given something of it.
   *
   * @returns whether it did
   * @throws SpoolError
   */
  async restart(): Promise<boolean> {
    await this.#flushing;
    if (this.#given) return false;
    this.#recent.clear();
    this.#written = 0;
    this.#flushed = 0;
    await this.#handle.truncate(0).catch((cause: unknown) => {
      throw this.#unwritable(cause);
    });
    return true;
  }

  /** What was written is whole and right: readers get the rest. */
  finish(): void {
    this.#state = 'whole';
    this.#wake();
  }

  /** Nothing more comes: readers fail with this, unless it is whole. */
  fail(error: unknown): void {
    if (this.#state === 'whole') return;
    this.#state = { failed: error };
    this.#wake();
  }

  /**
   * Bytes in order, as they come. Counts as a reader until it is read to its end or closed.
   *
   * @returns undefined when there is nothing to be read any more
   */
  read({ start, end }: ByteRange, signal?: AbortSignal): ContentReader | undefined {
    if (this.#closed || typeof this.#state === 'object') return undefined;
    this.#readers += 1;
    let closed = false;
    const wake = () => this.#wake();
    const close = async () => {
      if (closed) return;
      closed = true;
      this.#readers -= 1;
      signal?.removeEventListener('abort', wake);
      wake();
      await this.#closeIfDone();
    };
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
    const size = end - start + 1;
    const isLarge = size >= readSize;
    const buffer = isLarge ? spare.take() : Buffer.allocUnsafe(size);
    for (let position = start; position <= end; ) {
      const available = await this.#available(position, isOver);
      if (available === 0) return;
      const length = Math.min(available, buffer.length, end - position + 1);
      const isRecent = position >= this.#recent.start;
      const read = isRecent
        ? this.#recent.from(position).copy(buffer, 0, 0, length)
        : await this.#readFile(buffer, Math.min(length, this.#flushed - position), position);
      position += read;
      yield buffer.subarray(0, read);
    }
    // Whoever asks for more has done with what he had; who breaks off may still be sending it.
    if (isLarge) spare.giveBack(buffer);
  }

  /**
   * All of it, once it is whole, before it is released. Chunks are the caller's.
   *
   * @throws SpoolError when not all of it could be written
   */
  async content(): Promise<Body> {
    await this.#flushing;
    if (this.#fault !== undefined) throw this.#fault;
    const chunks = this.#chunks();
    if (this.#object === undefined) return chunks;
    await this.#handle.datasync().catch((error: unknown) => {
      throw this.#unwritable(error);
    });
    return Object.assign(chunks, { object: { path: this.#object, size: this.#written } });
  }

  async *#chunks(): AsyncGenerator<Buffer> {
    for (let position = 0; position < this.#written; ) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(storeSize, this.#written - position));
      const read = await this.#readFile(buffer, buffer.length, position);
      position += read;
      yield buffer.subarray(0, read);
    }
  }

  /** @returns how many bytes, at least one @throws SpoolError */
  async #readFile(buffer: Buffer, length: number, position: number): Promise<number> {
    const { bytesRead } = await this.#handle.read(buffer, 0, length, position);
    if (bytesRead === 0) throw new SpoolError(`${this.#path} is shorter than it was`);
    return bytesRead;
  }

  #unwritable(cause: unknown): SpoolError {
    return new SpoolError(`${this.#path} cannot be written: ${cause}`, { cause });
  }

  /** Waits until there are bytes to be read behind a position. @returns how many; 0 when the reader is over */
  async #available(position: number, isOver: () => boolean): Promise<number> {
    for (;;) {
      if (isOver()) return 0;
      if (typeof this.#state === 'object') throw this.#state.failed;
      const limit = this.#state === 'whole' ? this.#written : Math.min(this.#written, (this.#expected ?? 0) - heldBack);
      if (position < limit) {
        this.#given = true;
        return limit - position;
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Removes the file; those who read it read on. */
  async release(): Promise<void> {
    await unlink(this.#path).catch(() => undefined);
    this.#released = true;
    await this.#closeIfDone();
  }

  async #closeIfDone(): Promise<void> {
    if (!this.#released || this.#closed || this.#readers > 0) return;
    this.#closed = true;
    await this.#flushing;
    this.#recent.release();
    await this.#handle.close();
  }
}
