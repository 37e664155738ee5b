/** Bytes that are read ahead, and then given as one chunk: what comes from the network has pieces of 64 KiB at most. */
const gatherSize = 256 * 1024;
const maxPieceSize = 64 * 1024;

/** What is thrown away is read to its end, so that its connection can be used again, if it is no longer than this. */
const maxDiscarded = 64 * 1024;
const discardTime = 5_000;

/** Of the connection that the body comes over. */
export interface BodyControl {
  pause(): void;
  resume(): void;
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
 * The body of an answer, to be read once: in few large chunks, the next one being gathered while one is in use, and no
 * more than that, however slow the reader is. A chunk is good until the next one is asked for.
 */
export class AnswerBody implements AsyncIterable<Buffer> {
  readonly #control: BodyControl;
  #pieces: Buffer[] = [];
  #size = 0;
  #state: 'open' | 'ended' | 'destroyed' = 'open';
  #fault: Error | undefined;
  #wake = (): void => undefined;

  constructor(control: BodyControl) {
    this.#control = control;
  }

  /** What came. */
  push(piece: Buffer): void {
    if (this.#state !== 'open') return;
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (this.#size >= gatherSize) this.#control.pause();
    this.#wake();
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
    if (this.#state === 'open') this.#control.abort(new Error('nobody reads it any more'));
    if (this.#state === 'destroyed') return;
    this.#state = 'destroyed';
    this.#fault = fault;
    this.#pieces = [];
    this.#size = 0;
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
   * @param within in milliseconds
   * @throws BodyLimitError when it is longer, or is not complete by then; what the connection broke with; the reason of `signal`
   */
  async bytes(limit: number, within: number, signal?: AbortSignal): Promise<Buffer> {
    const all: Buffer[] = [];
    let size = 0;
    const late = new BodyLimitError('time', `the answer is not complete after ${within} ms`);
    const timer = setTimeout(() => this.destroy(late), within);
    const abort = () => this.destroy(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted) abort();
    try {
      for (let pieces = await this.#take(); pieces !== undefined; pieces = await this.#take()) {
        for (const piece of pieces) size += piece.length;
        if (size > limit) throw new BodyLimitError('size', `the answer is longer than ${limit} bytes`);
        all.push(...pieces);
      }
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.destroy();
    }
    return Buffer.concat(all, size);
  }

  /** Rejects where the connection broke, and with what it was destroyed with. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    let memory: Buffer | undefined;
    try {
      for (let pieces = await this.#take(); pieces !== undefined; pieces = await this.#take()) {
        if (pieces.length > 1) memory ??= Buffer.allocUnsafeSlow(gatherSize + maxPieceSize);
        yield joined(pieces, memory);
      }
    } finally {
      this.destroy();
    }
  }

  /** What has come since the last time, at least something; undefined at the end. */
  async #take(): Promise<Buffer[] | undefined> {
    while (this.#state === 'open' && this.#size === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const pieces = this.#pieces;
    if (pieces.length === 0) {
      if (this.#fault !== undefined) throw this.#fault;
      return undefined;
    }
    this.#pieces = [];
    this.#size = 0;
    if (this.#state === 'open') this.#control.resume();
    return pieces;
  }
}

/** @param memory to use if it is large enough */
function joined(pieces: readonly Buffer[], memory?: Buffer): Buffer {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first;
  const size = pieces.reduce((sum, { length }) => sum + length, 0);
  if (memory === undefined || memory.length < size) return Buffer.concat(pieces, size);
  let end = 0;
  for (const piece of pieces) end += piece.copy(memory, end);
  return memory.subarray(0, end);
}
