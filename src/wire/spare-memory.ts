/** Memory that is used again: left to the garbage collector it would cost more than all that is copied into it. */
export class SpareMemory {
  readonly #size: number;
  readonly #most: number;
  readonly #pieces: Buffer[] = [];

  /**
   * @param size of each piece, in bytes
   * @param most how many pieces are kept
   */
  constructor(size: number, most: number) {
    this.#size = size;
    this.#most = most;
  }

  take(): Buffer {
    return this.#pieces.pop() ?? Buffer.allocUnsafeSlow(this.#size);
  }

  /** @param piece that was {@link take}n, and that nobody uses any more */
  giveBack(piece: Buffer): void {
    if (this.#pieces.length < this.#most) this.#pieces.push(piece);
  }
}
