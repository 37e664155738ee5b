import { SpareMemory } from './spare-memory.ts';

/** Of each of the two parts of the memory of a body. */
const partSize = 256 * 1024;

/** As much as a few busy downloads take. */
const spare = new SpareMemory(partSize, 32);

/**
 * For what comes although nobody has room for it: a socket wants to know where its next bytes go before one can say stop, and
 * over TLS what was decrypted already comes after that. It is copied at once, so there need be no more than this.
 */
const spill = Buffer.allocUnsafeSlow(64 * 1024);

/** What is thrown away is read to its end, so that its connection can be used again, if it is no longer than this. */
const maxDiscarded = 64 * 1024;
const discardTime = 5_000;

/** Of the connection that a body comes over. */
export interface BodyControl {
  /** There is room again. */
  resume(): void;
  /** Nobody wants what has not come yet. */
  abort(reason: Error): void;
}

/** A small body that is not small, or that takes too long. */
export class BodyLimitError extends Error {
  override readonly name = 'BodyLimitError';
  readonly limit: 'size' | 'time';

  constructor(limit: 'size' | 'time', message: string) {
    super(message);
    this.limit = limit;
  }
}

/**
 * The body of an answer, to be read once. Its bytes are put into one of two parts of memory while the other one is in use,
 * by the kernel where the connection is our own: hardly any are copied elsewhere, and no memory is left to the garbage
 * collector, which would cost more than all the copying. A chunk is good until the next one is asked for.
 */
export class Body implements AsyncIterable<Buffer> {
  readonly #control: BodyControl;
  /** Bytes that a part takes. */
  readonly #partSize: number;
  readonly #parts: [Buffer?, Buffer?] = [];
  /** The part that is filled, and how far. */
  #filling: 0 | 1 = 0;
  #filled = 0;
  /** The part that is read, and how far. */
  #reading: 0 | 1 = 0;
  #taken = 0;
  /** Both parts are full: the one that is to be filled is still in use. */
  #full = false;
  /** What came since then. */
  #rest: Buffer[] = [];
  /** Whether {@link space} gave what is no part. */
  #spills = false;
  #state: 'open' | 'ended' | 'destroyed' = 'open';
  #fault: Error | undefined;
  #wake = (): void => undefined;

  /** @param size in bytes, if it is known */
  constructor(control: BodyControl, size?: number) {
    this.#control = control;
    // The end of the body is not that of a part: what comes beyond it shows.
    if (size !== undefined && size < partSize) this.#partSize = size + 1;
    else this.#partSize = size !== undefined && size % partSize === 0 ? partSize - 1 : partSize;
  }

  /** Where the next bytes are to be put, until {@link added}. */
  space(): Buffer {
    this.#spills = this.#full;
    return this.#spills ? spill : this.#room();
  }

  /** Bytes were put into what {@link space} gave last. @returns whether more should come */
  added(size: number): boolean {
    if (this.#spills) return this.push(spill.subarray(0, size));
    this.#fill(size);
    return !this.#full;
  }

  /** Bytes that lie elsewhere. @returns whether more should come */
  push(bytes: Buffer): boolean {
    let at = 0;
    while (at < bytes.length && !this.#full) {
      const size = bytes.copy(this.#room(), 0, at);
      this.#fill(size);
      at += size;
    }
    if (at < bytes.length) this.#rest.push(Buffer.from(bytes.subarray(at)));
    return !this.#full;
  }

  /** Whether nothing comes because nobody reads. */
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

  /**
   * Nobody reads it any more. What has not come yet takes its connection with it.
   *
   * @param fault what a reader gets who reads on; undefined: its end
   */
  destroy(fault?: Error): void {
    if (this.#state === 'destroyed') return;
    if (this.#state === 'open') this.#control.abort(new Error('nobody reads it any more'));
    this.#state = 'destroyed';
    this.#fault = fault;
    this.#rest = [];
    this.#wake();
  }

  /** Nobody wants it, but its connection may be wanted. */
  discard(): void {
    this.bytes(maxDiscarded, discardTime).catch(() => undefined);
  }

  /**
   * The whole body.
   *
   * @param limit in bytes
   * @param within in milliseconds; undefined: who asks sees to that
   * @throws BodyLimitError when it is longer, or is not complete by then; what the connection broke with; the reason of `signal`
   */
  async bytes(limit = Number.POSITIVE_INFINITY, within?: number, signal?: AbortSignal): Promise<Buffer> {
    // One piece, as what comes in very small ones would take many times as much.
    let all = Buffer.allocUnsafe(16 * 1024);
    let size = 0;
    const late = () => this.destroy(new BodyLimitError('time', `the answer is not complete after ${within} ms`));
    const timer = within === undefined ? undefined : setTimeout(late, within);
    const abort = () => this.destroy(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
    try {
      for await (const chunk of this) {
        const end = size + chunk.length;
        if (end > limit) throw new BodyLimitError('size', `the answer is longer than ${limit} bytes`);
        if (end > all.length) {
          const larger = Buffer.allocUnsafe(Math.max(2 * all.length, end));
          all.copy(larger, 0, 0, size);
          all = larger;
        }
        chunk.copy(all, size);
        size = end;
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
    return all.subarray(0, size);
  }

  /** Rejects where the connection broke, and with what it was destroyed with. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for (let chunk = await this.#take(); chunk !== undefined; chunk = await this.#take()) yield chunk;
      if (this.#state === 'ended') this.#giveBack();
    } finally {
      this.destroy();
    }
  }

  /** What is left of the part that is filled. */
  #room(): Buffer {
    const isLarge = this.#partSize >= partSize - 1;
    this.#parts[this.#filling] ??= isLarge ? spare.take() : Buffer.allocUnsafe(this.#partSize);
    return (this.#parts[this.#filling] as Buffer).subarray(this.#filled, this.#partSize);
  }

  #fill(size: number): void {
    this.#filled += size;
    if (this.#filled === this.#partSize) {
      this.#filling = this.#filling === 0 ? 1 : 0;
      this.#filled = 0;
      this.#full = this.#filling === this.#reading;
    }
    this.#wake();
  }

  /** What has come since the last time, as far as it lies together; undefined at the end. */
  async #take(): Promise<Buffer | undefined> {
    for (;;) {
      if (this.#state === 'destroyed') {
        if (this.#fault !== undefined) throw this.#fault;
        return undefined;
      }
      const end = this.#reading === this.#filling && !this.#full ? this.#filled : this.#partSize;
      if (this.#taken < end) {
        const chunk = this.#parts[this.#reading]?.subarray(this.#taken, end);
        this.#taken = end;
        return chunk;
      }
      if (end === this.#partSize) {
        this.#reading = this.#reading === 0 ? 1 : 0;
        this.#taken = 0;
        if (this.#full) this.#emptied();
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

  /** There is room again. */
  #emptied(): void {
    this.#full = false;
    const rest = this.#rest;
    this.#rest = [];
    for (const bytes of rest) this.push(bytes);
    // At its end the connection may be somebody else's already.
    if (this.#state === 'open' && !this.#full) this.#control.resume();
  }

  /** Nobody holds a chunk of it, and no connection fills it. */
  #giveBack(): void {
    for (const part of this.#parts) if (part?.length === partSize) spare.giveBack(part);
  }
}
