import { randomUUID } from 'node:crypto';
import {
  PathNotFoundError,
  StorageError,
  type StorageObject,
  type StorageReader,
  type StorageWriter,
  WriterBusyError,
} from '../driver.ts';
import { assemble, type CopyLimits, gather } from './assemble.ts';
import type { Bucket } from './bucket.ts';
import { asideKey, type Chain } from './chain.ts';
import { limits } from './client.ts';
import { driverName } from './errors.ts';
import { type Holder, memory } from './memory.ts';
import { Multipart } from './multipart.ts';
import { minPartSize } from './options.ts';
import { Segments } from './segments.ts';

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
  /**
   * Makes sure that the upload goes on, or did so when this process looked last, if that is no longer ago than `age`
   * milliseconds.
   *
   * @throws PathNotFoundError when it has ended
   */
  checkMarker(age: number): Promise<void>;
  /** Reads what the chain has. */
  readKept(): StorageReader;
  /** Remembers what there is below the owner's key: its chain, and keys that are of no use any more. */
  remember(chain: Chain, spent: readonly string[]): void;
  forget(): void;
  /** Takes the path once more, to cancel after a fault. @throws WriterBusyError */
  take(): void;
  /** Gives the path free. */
  release(): void;
}

/** Bytes of a writer that were put aside. */
interface Aside {
  readonly key: string;
  readonly size: number;
}

/**
 * Gathers bytes into chunks. With `append` each chunk is stored behind the chain of those before it, one after the other.
 * When nothing is kept yet and it is known where the bytes will go, they become parts of a multipart upload there, so that
 * nothing has to be copied in the end; such bytes cannot be kept.
 *
 * When memory is needed elsewhere, what is pending is stored before it is a full chunk. What is too small for a part is
 * put aside, in an object of its own, and read again when there is enough for one.
 */
export class S3Writer implements StorageWriter, Holder {
  readonly #parts: WriterParts;
  readonly #chain: Chain;
  readonly #direct: boolean;
  readonly #keptSize: number;
  #version: string;
  #accepted = 0;
  #pending = new Segments();
  readonly #inFlight = new Set<Promise<void>>();
  #multipart: Promise<Multipart> | undefined;
  #lastPart = 0;
  /** In front of what is pending. */
  #aside: Aside[] = [];
  #asideSize = 0;
  /** Keys of what was put aside and is needed no more. */
  readonly #spent: string[] = [];
  #sending = false;
  #lastUsed = 0;
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

  get held(): number {
    // Chunks are stored one after the other.
    const next = this.#direct || this.#inFlight.size === 0;
    return next && !this.#sending && this.#fault === undefined ? this.#pending.memory : 0;
  }

  get lastUsed(): number {
    return this.#lastUsed;
  }

  putAside(): void {
    const content = this.#pending;
    this.#pending = new Segments();
    if (!this.#direct) this.#follow(this.#storeChunk(content, undefined));
    else if (this.#asideSize === 0 && content.size >= minPartSize) this.#follow(this.#storePart(content));
    else this.#follow(this.#storeAside(content));
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw alreadyEnded();
    this.#check();
    memory.add(this);
    this.#lastUsed = memory.now;
    this.#accepted += chunk.length;
    const fits = this.#gathered + chunk.length <= this.#fullSize();
    if (this.#waiting === 0 && fits && !this.#mustWait() && !memory.isExhausted) {
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
      else if (this.#fault === undefined) {
        if (this.#pending.size > 0) await this.#storeChunk(this.#pending, note);
        // It may have ended while these bytes came: then nobody looks for them here, and nobody may be told they are kept.
        await this.#parts.checkMarker(limits.marker);
      }
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
      const record = this.#direct
        ? await this.#complete(key)
        : await assemble({ bucket, path, to: key, owner, chain: this.#chain, tail: this.#pending, copy });
      const spent = record === undefined ? this.#spent : [...this.#spent, record];
      if (append) this.#parts.remember(this.#chain, spent);
      // It is published; what cannot be deleted now is in nobody's way.
      else await this.#delete(spent).catch(() => undefined);
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
      const ended = await this.#whetherEnded(error);
      // What nobody could go on with; with `append` it stays while the upload does.
      if (!this.#parts.append || ended !== undefined) await this.#delete([]).catch(() => undefined);
      this.#parts.forget();
      throw ended ?? error;
    } finally {
      this.#pending.release(next === 'ended');
      this.#parts.release();
      this.#state = next;
    }
  }

  /** Resolves when everything that was given has been taken, nothing is on its way, and nobody makes it store more. */
  async #settle(): Promise<void> {
    await this.#turn;
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
    memory.remove(this);
  }

  /** Somebody who ends an upload takes away what is needed here, or ends the multipart upload. */
  async #whetherEnded(error: unknown): Promise<PathNotFoundError | undefined> {
    if (!(error instanceof StorageError) || !['PATH_NOT_FOUND', 'STORAGE_FAULT'].includes(error.code)) return undefined;
    return this.#parts.checkMarker(0).then(
      () => undefined,
      (missing: unknown) => (missing instanceof PathNotFoundError ? missing : undefined),
    );
  }

  /** Ends a multipart upload that is not wanted, and removes what was put aside for it. */
  async #drop(): Promise<void> {
    const { bucket, path } = this.#parts;
    // One that could not be begun is none.
    const multipart = await this.#multipart?.catch(() => undefined);
    this.#multipart = undefined;
    await multipart?.abort();
    const keys = [...this.#spent, ...this.#aside.map(({ key }) => key)];
    if (multipart !== undefined) keys.push(multipart.record);
    if (keys.length > 0) await bucket.delete(path, keys);
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
    return memory.isScarce && stored < maxSmallParts ? minPartSize : this.#parts.chunkSize;
  }

  /** Bytes that the next chunk has already. */
  get #gathered(): number {
    return this.#asideSize + this.#pending.size;
  }

  #mustWait(): boolean {
    return this.#inFlight.size > 0 && memory.isScarce;
  }

  /**
   * A full chunk is stored only when more comes: so the last one is still here when the writer is closed, and gets the
   * note.
   */
  async #take(chunk: Uint8Array): Promise<void> {
    const { chunkSize } = this.#parts;
    for (let taken = 0; taken < chunk.length; ) {
      while (this.#mustWait()) await Promise.race(this.#inFlight);
      await memory.room();
      if (this.#gathered >= this.#fullSize()) await this.#send();
      this.#check();
      taken += this.#pending.append(chunk.subarray(taken), chunkSize - this.#asideSize);
    }
  }

  /** Puts what is pending on its way. Resolves when there is room for more. */
  async #send(): Promise<void> {
    this.#sending = true;
    try {
      const limit = this.#direct && !memory.isScarce ? maxInFlight : 1;
      while (this.#inFlight.size >= limit) await Promise.race(this.#inFlight);
      this.#check();
      if (this.#direct) await this.#begin();
      await this.#whole(async () => {
        const content = this.#pending;
        this.#pending = new Segments();
        this.#follow(this.#direct ? this.#storePart(content) : this.#storeChunk(content, undefined));
      });
    } finally {
      this.#sending = false;
    }
  }

  /** The multipart upload, which is there from the first part on. */
  #begin(): Promise<Multipart> {
    const { bucket, path, to = path, owner } = this.#parts;
    this.#multipart ??= Multipart.create(bucket, path, bucket.keyOf(to), owner).catch((error: unknown) => {
      this.#fault ??= { error, told: true };
      throw error;
    });
    return this.#multipart;
  }

  #follow(storing: Promise<void>): void {
    const following = storing
      .catch((error: unknown) => {
        this.#fault ??= { error, told: false };
      })
      .finally(() => this.#inFlight.delete(following));
    this.#inFlight.add(following);
  }

  /** Stores a chunk, and gives its memory back. */
  async #storeChunk(content: Segments, note: string | undefined): Promise<void> {
    const { bucket, path, checkMarker } = this.#parts;
    let clean = false;
    try {
      await checkMarker(Number.POSITIVE_INFINITY);
      const { size } = content;
      const stored = await bucket.putNew(path, this.#chain.nextKey, content, note);
      clean = stored.clean;
      this.#chain.add(size, stored.etag, new Date());
    } finally {
      content.release(clean);
    }
  }

  /** Sends the next part, and gives its memory back. */
  async #storePart(content: Segments): Promise<void> {
    this.#lastPart += 1;
    const number = this.#lastPart;
    let clean = false;
    try {
      clean = await (await this.#begin()).put(number, content);
    } finally {
      content.release(clean);
    }
  }

  /** Stores what is too small for a part, and gives its memory back. */
  async #storeAside(content: Segments): Promise<void> {
    const { bucket, path, owner } = this.#parts;
    const aside = { key: asideKey(owner, randomUUID()), size: content.size };
    this.#aside.push(aside);
    this.#asideSize += aside.size;
    let clean = false;
    try {
      clean = await bucket.putSegments(path, aside.key, content);
    } finally {
      content.release(clean);
    }
  }

  /** Brings back what was put aside, in front of what is pending, before it is sent. */
  async #whole(send: () => Promise<void>): Promise<void> {
    if (this.#aside.length === 0) return send();
    const { bucket, path } = this.#parts;
    await memory.exempt(async () => {
      await Promise.all(this.#inFlight);
      this.#check();
      const sources = this.#aside.map(({ key, size }) => ({ key, start: 0, end: size }));
      const pending = this.#pending;
      this.#pending = await gather(bucket, path, sources, pending);
      pending.release(true);
      this.#spent.push(...this.#aside.map(({ key }) => key));
      this.#aside = [];
      this.#asideSize = 0;
      await send();
      await Promise.all(this.#inFlight);
    });
  }

  /** Sends the rest, and makes the object visible. @returns the key of the record, if there is one */
  async #complete(key: string): Promise<string | undefined> {
    await this.#whole(async () => {
      if (this.#multipart !== undefined) {
        if (this.#pending.size > 0) await this.#storePart(this.#pending);
        return;
      }
      const { bucket, path } = this.#parts;
      this.#pending.release(await bucket.putSegments(path, key, this.#pending));
    });
    const multipart = await this.#multipart;
    await multipart?.complete();
    return multipart?.record;
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
