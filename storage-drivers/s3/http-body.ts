/** Bytes that are read ahead, and then given as one chunk: what comes from the network has pieces of 64 KiB at most. */
const gatherSize = 256 * 1024;
const maxPieceSize = 64 * 1024;

/** Of the connection that the body comes over. */
export interface BodyControl {
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

/**
 * The body of an answer, to be read once: in few large chunks, the next one being gathered while one is in use. A chunk is
 * good until the next one is asked for.
 */
export class HttpBody implements AsyncIterable<Buffer> {
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

  /** Nobody reads it any more. What has not come yet takes its connection with it. */
  destroy(): void {
    if (this.#state === 'open') this.#control.abort(new Error('nobody reads it any more'));
    this.#state = 'destroyed';
    this.#pieces = [];
    this.#size = 0;
    this.#wake();
  }

  /** The whole body. */
  async bytes(signal?: AbortSignal): Promise<Buffer> {
    const all: Buffer[] = [];
    const abort = () => this.destroy();
    signal?.addEventListener('abort', abort, { once: true });
    for (let pieces = await this.#take(); pieces !== undefined; pieces = await this.#take()) all.push(...pieces);
    signal?.removeEventListener('abort', abort);
    signal?.throwIfAborted();
    return joined(all);
  }

  /** Ends where it was destroyed; rejects where the connection broke. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    let memory: Buffer | undefined;
    for (let pieces = await this.#take(); pieces !== undefined; pieces = await this.#take()) {
      if (pieces.length > 1) memory ??= Buffer.allocUnsafeSlow(gatherSize + maxPieceSize);
      yield joined(pieces, memory);
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
