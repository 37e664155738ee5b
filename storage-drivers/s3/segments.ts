import { Readable } from 'node:stream';
import { memory } from './memory.ts';

/** In bytes. The first segment is a small one: most uploads are small, and thousands may be open at a time. */
const sizes = { first: 16 * 1024, other: 256 * 1024 };

/** Memory that is kept for the next one instead of being given back. */
const maxFree = 128;

const free: Readonly<Record<number, Buffer[]>> = { [sizes.first]: [], [sizes.other]: [] };

/** Bytes that are gathered for one request, and can be sent more than once. */
export class Segments {
  #segments: Buffer[] = [];
  #size = 0;
  #memory = 0;

  get size(): number {
    return this.#size;
  }

  /** Bytes of memory that it takes. */
  get memory(): number {
    return this.#memory;
  }

  /** Copies, so that what the network delivered is not held. @returns the bytes that were taken */
  append(chunk: Uint8Array, limit: number): number {
    const length = Math.min(chunk.length, limit - this.#size);
    for (let taken = 0; taken < length; ) {
      if (this.#size === this.#memory) this.#grow();
      const room = this.#memory - this.#size;
      const piece = Math.min(length - taken, room);
      const last = this.#segments.at(-1);
      last?.set(chunk.subarray(taken, taken + piece), last.length - room);
      taken += piece;
      this.#size += piece;
    }
    return Math.max(0, length);
  }

  *pieces(): Generator<Buffer> {
    let left = this.#size;
    for (const segment of this.#segments) {
      yield segment.subarray(0, Math.min(segment.length, left));
      left -= segment.length;
    }
  }

  /** A body for one attempt of a request. */
  stream(): Readable {
    return Readable.from(this.pieces(), { objectMode: false });
  }

  /** @param reusable whether nobody can still be reading the memory: an attempt that failed may */
  release(reusable: boolean): void {
    if (this.#memory === 0) return;
    if (reusable) {
      for (const segment of this.#segments) {
        const pool = free[segment.length];
        if (pool !== undefined && pool.length < maxFree) pool.push(segment);
      }
    }
    const given = this.#memory;
    this.#segments = [];
    this.#size = 0;
    this.#memory = 0;
    memory.giveBack(given);
  }

  #grow(): void {
    const size = this.#memory === 0 ? sizes.first : sizes.other;
    this.#segments.push(free[size]?.pop() ?? Buffer.allocUnsafeSlow(size));
    this.#memory += size;
    memory.take(size);
  }
}
