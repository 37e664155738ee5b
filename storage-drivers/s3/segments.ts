import { Readable } from 'node:stream';

/** In bytes. */
const segmentSize = 256 * 1024;

/** Memory that is kept for the next one instead of being given back. */
const maxFree = 128;

/**
 * Bytes that all uploads together should hold at a time. Beyond it an upload waits until its own part is stored before
 * it takes more, and sends small parts.
 */
const budget = 32 * 1024 * 1024;

const free: Buffer[] = [];
let inUse = 0;

/** Whether uploads hold so much memory together that each should wait for its own storage. */
export function isMemoryScarce(): boolean {
  return inUse * segmentSize > budget;
}

/** Bytes that are gathered for one request, and can be sent more than once. */
export class Segments {
  #segments: Buffer[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Copies, so that what the network delivered is not held. @returns the bytes that were taken */
  append(chunk: Uint8Array, limit: number): number {
    const length = Math.min(chunk.length, limit - this.#size);
    for (let taken = 0; taken < length; ) {
      const offset = this.#size % segmentSize;
      if (offset === 0) {
        this.#segments.push(free.pop() ?? Buffer.allocUnsafeSlow(segmentSize));
        inUse += 1;
      }
      const piece = Math.min(length - taken, segmentSize - offset);
      this.#segments.at(-1)?.set(chunk.subarray(taken, taken + piece), offset);
      taken += piece;
      this.#size += piece;
    }
    return Math.max(0, length);
  }

  /** A body for one attempt of a request. */
  stream(): Readable {
    return Readable.from(this.#pieces(), { objectMode: false });
  }

  /** @param reusable whether nobody can still be reading the memory: an attempt that failed may */
  release(reusable: boolean): void {
    inUse -= this.#segments.length;
    if (reusable) free.push(...this.#segments.slice(0, Math.max(0, maxFree - free.length)));
    this.#segments = [];
    this.#size = 0;
  }

  *#pieces(): Generator<Buffer> {
    for (const [index, segment] of this.#segments.entries()) {
      yield segment.subarray(0, Math.min(segmentSize, this.#size - index * segmentSize));
    }
  }
}
