/** Of each of the two parts of the memory of a body. */
const partSize = 256 * 1024;

/** Memory that bodies have given back, for the next ones: as much as a few busy downloads take. */
const spare: Buffer[] = [];
const maxSpare = 32;

export interface BodyControl {
  /** The connection may go on to fill what {@link ObjectBody.space} gives. */
  resume(): void;
  abort(reason: Error): void;
}

/**
 * The body of an object, to be read once. The kernel puts its bytes straight into one of two parts of memory while the
 * other one is in use: they are copied nowhere else, and nothing is made for the garbage collector, which would cost more
 * than all the copying. A chunk is good until the next one is asked for.
 */
export class ObjectBody implements AsyncIterable<Buffer> {
  readonly #control: BodyControl;
  readonly #parts: [Buffer, Buffer];
  /** The part that is filled, and how far. */
  #filling: 0 | 1 = 0;
  #filled = 0;
  /** The part that is read, and how far. */
  #reading: 0 | 1 = 0;
  #taken = 0;
  /** Both parts are full: the one that is to be filled is still in use. */
  #full = false;
  #state: 'open' | 'ended' | 'destroyed' = 'open';
  #fault: Error | undefined;
  #wake = (): void => undefined;

  constructor(control: BodyControl) {
    this.#control = control;
    this.#parts = [spare.pop() ?? Buffer.allocUnsafeSlow(partSize), spare.pop() ?? Buffer.allocUnsafeSlow(partSize)];
  }

  /** Where the next bytes are to be put. While the body is full that is for later. */
  space(): Buffer {
    return this.#parts[this.#filling].subarray(this.#filled);
  }

  /** Bytes were put into {@link space}. @returns whether more may be */
  added(size: number): boolean {
    this.#filled += size;
    if (this.#filled === partSize) {
      this.#filling = this.#filling === 0 ? 1 : 0;
      this.#filled = 0;
      this.#full = this.#filling === this.#reading;
    }
    this.#wake();
    return !this.#full;
  }

  get isFull(): boolean {
    return this.#full;
  }

  /** Nothing more comes. */
  end(fault?: Error): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#fault = fault;
    this.#wake();
  }

  /** Nobody reads it any more. What has not come yet takes its connection with it. */
  destroy(): void {
    if (this.#state === 'open') this.#control.abort(new Error('nobody reads it any more'));
    this.#state = 'destroyed';
    this.#wake();
  }

  /** Ends where it was destroyed; rejects where the connection broke. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (let chunk = await this.#take(); chunk !== undefined; chunk = await this.#take()) yield chunk;
    // Nobody holds a chunk of it, and no connection fills it.
    if (this.#state === 'ended') spare.push(...this.#parts.slice(0, maxSpare - spare.length));
  }

  /** What has come since the last time, as far as it lies together; undefined at the end. */
  async #take(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#state === 'destroyed') return undefined;
      const end = this.#reading === this.#filling && !this.#full ? this.#filled : partSize;
      if (this.#taken < end) {
        const chunk = this.#parts[this.#reading].subarray(this.#taken, end);
        this.#taken = end;
        return chunk;
      }
      if (end === partSize) {
        this.#reading = this.#reading === 0 ? 1 : 0;
        this.#taken = 0;
        if (!this.#full) continue;
        this.#full = false;
        // At its end the connection may be somebody else's already.
        if (this.#state === 'open') this.#control.resume();
      } else if (this.#state === 'ended') {
        if (this.#fault !== undefined) throw this.#fault;
        return undefined;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
