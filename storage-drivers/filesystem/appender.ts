import * as io from './io.ts';

/** Bytes that are gathered before they are written. A client's pieces have 16–64 KiB. */
const batchSize = 256 * 1024;
/** Pieces in one batch, whatever their size (the system takes 1024 in one call, IOV_MAX). */
const batchPieces = 1024;
/** Bytes after which the disk is set to work in the background, so that the last sync has little left to do. */
const syncInterval = 32 * 1024 * 1024;

/**
 * Writes pieces to a descriptor in large batches: one is on its way to the system while the caller gives the next, and
 * a third must wait. Owns nothing; the descriptor may be closed after {@link drain}.
 */
export class Appender {
  readonly #fd: number;
  #accepted = 0;
  #written = 0;
  #synced = 0;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Neither of the two rejects: a fault is kept, and told by the next call. */
  #flushing: Promise<void> | undefined;
  #syncing: Promise<void> | undefined;
  #fault: { readonly error: unknown; told: boolean } | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Bytes that were given; after a fault, those that the system has taken. */
  get accepted(): number {
    return this.#fault === undefined ? this.#accepted : this.#written;
  }

  /** Bytes that the system has taken. */
  get written(): number {
    return this.#written;
  }

  /** Throws the first fault, again and again. */
  check(): void {
    if (this.#fault === undefined) return;
    this.#fault.told = true;
    throw this.#fault.error;
  }

  /** Throws the first fault unless the caller knows it. */
  checkUntold(): void {
    if (this.#fault?.told === false) this.check();
  }

  /** Resolves when more may be given. */
  async write(chunk: Uint8Array): Promise<void> {
    this.check();
    if (chunk.length === 0) return;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    this.#accepted += chunk.length;
    while (this.#isFull() && this.#flushing !== undefined) await this.#flushing;
    this.check();
    if (this.#isFull()) this.#flushing = this.#flush();
  }

  /** Resolves when all that was given is with the system, or a fault is known, and nothing is under way. */
  async drain(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
    if (this.#fault === undefined && this.#pending.length > 0) await this.#flush();
    await this.#syncing;
  }

  /** Forgets what is not under way yet, and resolves when nothing is. */
  async abandon(): Promise<void> {
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.drain();
  }

  #isFull(): boolean {
    return this.#pendingBytes >= batchSize || this.#pending.length >= batchPieces;
  }

  async #flush(): Promise<void> {
    const batch = this.#pending;
    this.#pending = [];
    this.#pendingBytes = 0;
    try {
      await io.writeAll(this.#fd, batch, (bytes) => {
        this.#written += bytes;
      });
      if (this.#written - this.#synced >= syncInterval) this.#syncing ??= this.#sync();
    } catch (error) {
      this.#fault ??= { error, told: false };
    } finally {
      this.#flushing = undefined;
    }
  }

  async #sync(): Promise<void> {
    this.#synced = this.#written;
    try {
      await io.fdatasync(this.#fd);
    } catch (error) {
      this.#fault ??= { error, told: false };
    } finally {
      this.#syncing = undefined;
    }
  }
}
