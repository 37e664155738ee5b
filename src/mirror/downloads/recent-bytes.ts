import { SpareMemory } from '../../wire/spare-memory.ts';

const usualSize = 1024 * 1024;
const spare = new SpareMemory(usualSize, 8);

/** The newest bytes of what grows: its end, in as much memory as there is for it. Positions are those in the whole. */
export class RecentBytes {
  readonly #memory: Buffer;
  #end = 0;

  /** @param expected bytes of the whole: of what is small all is kept, in no more memory than that */
  constructor(expected = usualSize) {
    this.#memory = expected < usualSize ? Buffer.allocUnsafeSlow(expected) : spare.take();
  }

  get size(): number {
    return this.#memory.length;
  }

  /** Where the next byte comes. */
  get end(): number {
    return this.#end;
  }

  /** Where the bytes begin that are here. */
  get start(): number {
    return Math.max(0, this.#end - this.size);
  }

  /** @param bytes no more than {@link size}; they take the place of the oldest ones */
  add(bytes: Uint8Array): void {
    const at = this.#end % this.size;
    const untilEdge = bytes.subarray(0, this.size - at);
    this.#memory.set(untilEdge, at);
    this.#memory.set(bytes.subarray(untilEdge.length), 0);
    this.#end += bytes.length;
  }

  /** The bytes from a position on that is here, as far as they lie together: good until newer ones take their place. */
  from(position: number): Buffer {
    const at = position % this.size;
    return this.#memory.subarray(at, Math.min(this.size, at + this.#end - position));
  }

  /** Forgets all, and begins anew. */
  clear(): void {
    this.#end = 0;
  }

  /** It is used no more, nor are any bytes {@link from} it. */
  release(): void {
    this.#end = 0;
    if (this.size === usualSize) spare.giveBack(this.#memory);
  }
}
