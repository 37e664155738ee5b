/** Bytes that are read ahead, and then given as one chunk: what comes from the network has pieces of 64 KiB at most. */
const gatherSize = 256 * 1024;

/** Of the connection that the body comes over. */
export interface BodyControl {
  pause(): void;
  resume(): void;
  abort(reason: Error): void;
}

/** The body of an answer, to be read once: in few large chunks, the next one being gathered while one is in use. */
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
    const chunks: Buffer[] = [];
    const abort = () => this.destroy();
    signal?.addEventListener('abort', abort, { once: true });
    for await (const chunk of this) chunks.push(chunk);
    signal?.removeEventListener('abort', abort);
    signal?.throwIfAborted();
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  }

  /** Ends where it was destroyed; rejects where the connection broke. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    while (this.#state === 'open' || this.#size > 0) {
      if (this.#size === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const [first] = this.#pieces;
      const chunk = this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces, this.#size);
      this.#pieces = [];
      this.#size = 0;
      if (this.#state === 'open') this.#control.resume();
      yield chunk;
    }
    if (this.#fault !== undefined) throw this.#fault;
  }
}
