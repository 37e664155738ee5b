import { type StorageObject, type StorageReader, type StorageWriter, WriterBusyError } from '../driver.ts';
import { assemble, type CopyLimits } from './assemble.ts';
import type { Bucket } from './bucket.ts';
import type { Chain } from './chain.ts';
import { driverName } from './errors.ts';
import { Multipart } from './multipart.ts';
import { minPartSize } from './options.ts';
import { isMemoryScarce, Segments } from './segments.ts';

/** Parts of one upload that may be small because memory is scarce: S3 takes 10,000 in all. */
const maxSmallParts = 2000;

/** Parts of one upload that are on their way at a time, while there is memory for them. */
const maxInFlight = 4;

export interface WriterParts {
  readonly bucket: Bucket;
  /** The writer's path, for messages. */
  readonly path: string;
  /** Key that the chain belongs to. */
  readonly owner: string;
  readonly chain: Chain;
  readonly append: boolean;
  /** Where it will commit to. */
  readonly to: string | undefined;
  readonly chunkSize: number;
  readonly copy: CopyLimits;
  /** Makes sure that bytes may be kept. @throws PathNotFoundError */
  checkMarker(): Promise<void>;
  /** Reads what the chain has. */
  readKept(): StorageReader;
  /** Remembers what there is below the owner's key: its chain, and records that are of no use any more. */
  remember(chain: Chain, records: readonly string[]): void;
  forget(): void;
  /** Takes the path once more, to cancel after a fault. @throws WriterBusyError */
  take(): void;
  /** Gives the path free. */
  release(): void;
}

/**
 * Gathers bytes into chunks. With `append` each chunk is stored behind the chain of those before it, one after the other.
 * When nothing is kept yet and it is known where the bytes will go, they become parts of a multipart upload there, so that
 * nothing has to be copied in the end; such bytes cannot be kept.
 */
export class S3Writer implements StorageWriter {
  readonly #parts: WriterParts;
  readonly #chain: Chain;
  readonly #direct: boolean;
  readonly #keptSize: number;
  #version: string;
  #accepted = 0;
  #pending = new Segments();
  readonly #inFlight = new Set<Promise<void>>();
  #multipart: Multipart | undefined;
  #lastPart = 0;
  /** Writes that have not been taken yet take turns. */
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #fault: { readonly error: unknown; told: boolean } | undefined;
  #state: 'open' | 'ending' | 'failed' | 'ended' = 'open';

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#chain = parts.chain;
    this.#keptSize = parts.chain.size;
    this.#version = parts.chain.version;
    this.#direct = parts.to !== undefined && parts.chain.size === 0;
  }

  get size(): number {
    return this.#keptSize + this.#accepted;
  }

  get version(): string {
    return this.#version;
  }

  async note(): Promise<string | undefined> {
    const last = this.#parts.chain.chunks.at(-1);
    if (last === undefined) return undefined;
    const { bucket, path } = this.#parts;
    return (await bucket.head(path, last.key)).metadata.note;
  }

  async reader(): Promise<StorageReader> {
    return this.#parts.readKept();
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw alreadyEnded();
    this.#check();
    this.#accepted += chunk.length;
    if (this.#waiting === 0 && this.#pending.size + chunk.length <= this.#fullSize() && !this.#mustWait()) {
      this.#pending.append(chunk, this.#parts.chunkSize);
      return;
    }
    this.#waiting += 1;
    const turn = this.#turn.then(() => this.#take(chunk));
    this.#turn = turn.catch(() => undefined);
    try {
      await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  async close(note?: string): Promise<void> {
    if (!this.#parts.append) return this.commit();
    await this.#end(async () => {
      if (this.#fault?.told === false) this.#check();
      if (this.#direct) await this.#drop();
      else if (this.#fault === undefined && this.#pending.size > 0) await this.#store(this.#pending, note);
      this.#version = this.#chain.version;
      this.#parts.remember(this.#chain, []);
    });
  }

  async commit(to: string = this.#parts.path, preceding: readonly StorageObject[] = []): Promise<void> {
    const { bucket, path, owner, append, copy } = this.#parts;
    if (this.#direct && to !== this.#parts.to)
      throw new TypeError(`the writer was opened to commit to ${this.#parts.to}`);
    await this.#end(async () => {
      this.#check();
      for (const object of preceding) await bucket.put(object.path, bucket.keyOf(object.path), object.content);
      const key = bucket.keyOf(to);
      let record: string | undefined;
      if (this.#multipart === undefined) {
        record = await assemble({ bucket, path, to: key, owner, chain: this.#chain, tail: this.#pending, copy });
      } else {
        if (this.#pending.size > 0) await this.#store(this.#pending, undefined);
        await this.#multipart.complete();
        record = this.#multipart.record;
      }
      const records = record === undefined ? [] : [record];
      if (append) this.#parts.remember(this.#chain, records);
      // It is published; what cannot be deleted now is in nobody's way.
      else await this.#delete(records).catch(() => undefined);
    });
  }

  async cancel(): Promise<void> {
    if (this.#state === 'ended') return;
    if (this.#state === 'ending') throw alreadyEnded();
    if (this.#state === 'failed') this.#parts.take();
    this.#state = 'ending';
    try {
      await this.#settle();
      await this.#drop();
      await this.#delete([]);
      this.#parts.forget();
    } finally {
      this.#pending.release(true);
      this.#parts.release();
      this.#state = 'ended';
    }
  }

  async #end(finish: () => Promise<void>): Promise<void> {
    if (this.#state !== 'open') throw alreadyEnded();
    this.#state = 'ending';
    let next: 'failed' | 'ended' = 'failed';
    try {
      await this.#settle();
      await finish();
      next = 'ended';
    } catch (error) {
      await this.#drop().catch(() => undefined);
      // What nobody could go on with; with `append` it stays.
      if (!this.#parts.append) await this.#delete([]).catch(() => undefined);
      this.#parts.forget();
      throw error;
    } finally {
      this.#pending.release(next === 'ended');
      this.#parts.release();
      this.#state = next;
    }
  }

  /** Resolves when everything that was given has been taken, and nothing is on its way. */
  async #settle(): Promise<void> {
    await this.#turn;
    await Promise.all(this.#inFlight);
  }

  /** Ends a multipart upload that is not wanted. */
  async #drop(): Promise<void> {
    const multipart = this.#multipart;
    if (multipart === undefined) return;
    this.#multipart = undefined;
    await multipart.abort();
    await this.#parts.bucket.delete(this.#parts.path, [multipart.record]);
  }

  async #delete(records: readonly string[]): Promise<void> {
    const keys = [...this.#chain.chunks.map(({ key }) => key), ...records];
    // The next one may be there as well: nobody answered when it was stored.
    if (this.#fault !== undefined) keys.push(this.#chain.nextKey);
    if (keys.length > 0) await this.#parts.bucket.delete(this.#parts.path, keys);
  }

  #check(): void {
    if (this.#fault === undefined) return;
    this.#fault.told = true;
    throw this.#fault.error;
  }

  /** Bytes with which a part is sent. */
  #fullSize(): number {
    const stored = this.#lastPart + this.#chain.chunks.length;
    return isMemoryScarce() && stored < maxSmallParts ? minPartSize : this.#parts.chunkSize;
  }

  #mustWait(): boolean {
    return this.#inFlight.size > 0 && isMemoryScarce();
  }

  /**
   * A full chunk is stored only when more comes: so the last one is still here when the writer is closed, and gets the
   * note.
   */
  async #take(chunk: Uint8Array): Promise<void> {
    const { chunkSize } = this.#parts;
    for (let taken = 0; taken < chunk.length; ) {
      while (this.#mustWait()) await Promise.race(this.#inFlight);
      if (this.#pending.size >= this.#fullSize()) await this.#send();
      this.#check();
      taken += this.#pending.append(chunk.subarray(taken), chunkSize);
    }
  }

  /** Puts what is pending on its way. Resolves when there is room for more. */
  async #send(): Promise<void> {
    const limit = this.#direct && !isMemoryScarce() ? maxInFlight : 1;
    while (this.#inFlight.size >= limit) await Promise.race(this.#inFlight);
    this.#check();
    if (this.#direct) await this.#begin();
    const content = this.#pending;
    this.#pending = new Segments();
    const sending = this.#store(content, undefined)
      .catch((error: unknown) => {
        this.#fault ??= { error, told: false };
      })
      .finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
  }

  async #begin(): Promise<void> {
    const { bucket, path, to = path, owner } = this.#parts;
    try {
      this.#multipart ??= await Multipart.create(bucket, path, bucket.keyOf(to), owner);
    } catch (error) {
      this.#fault ??= { error, told: true };
      throw error;
    }
  }

  /** Stores a chunk, or a part, and gives its memory back. */
  async #store(content: Segments, note: string | undefined): Promise<void> {
    const { bucket, path, checkMarker } = this.#parts;
    let clean = false;
    try {
      if (this.#multipart !== undefined) {
        this.#lastPart += 1;
        clean = await this.#multipart.put(this.#lastPart, content);
      } else {
        await checkMarker();
        const { size } = content;
        const stored = await bucket.putNew(path, this.#chain.nextKey, content, note);
        clean = stored.clean;
        this.#chain.add(size, stored.etag, new Date());
      }
    } finally {
      content.release(clean);
    }
  }
}

function alreadyEnded(): TypeError {
  return new TypeError('the writer has been closed, committed or cancelled already');
}

/** The paths that writers of this process have. */
export class BusyPaths {
  readonly #paths = new Set<string>();

  /** @throws WriterBusyError */
  take(path: string): void {
    if (this.#paths.has(path)) throw new WriterBusyError(driverName, path);
    this.#paths.add(path);
  }

  release(path: string): void {
    this.#paths.delete(path);
  }
}
