import { createHash, type Hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { algorithmOf, type Digest, digestFromHash } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Body, ByteRange, ContentReader } from '../../registry/registry.ts';
import { untilAborted } from '../until-aborted.ts';
import type { UpstreamBlob } from '../upstream/blobs.ts';
import { type GrowingFile, SpoolError } from './growing-file.ts';

/** What a download needs of those who want it. */
export interface DownloadSource {
  readonly digest: Digest;
  /** Name of who gives it: one that is slow keeps nobody from the others. */
  readonly upstream: string;
  /** For whom it is, to begin with. */
  readonly repository: RepositoryName;
  /** Asks the upstream. @param start from which byte on */
  open(start: number, signal: AbortSignal): Promise<UpstreamBlob>;
  /** What to do about an error of the upstream: ask for the rest, take what it sent for wrong, or end the download. */
  judge(error: unknown): 'transient' | 'wrong' | 'final';
  /** Told who gave wrong bytes. @returns whether somebody else can be asked, so that it is worth to begin again */
  distrust(endpoints: ReadonlySet<string>): boolean;
  /** Makes the whole, verified content a blob of a repository. */
  store(content: () => Promise<Body>, repository: RepositoryName): Promise<void>;
  /** Default: waits. For tests. */
  readonly wait?: (milliseconds: number) => Promise<void>;
}

export interface DownloadOptions extends DownloadSource {
  /** Makes the file in which the bytes are gathered. @param expected its size in the end, if that is known */
  createFile(expected: number | undefined): Promise<GrowingFile>;
  readonly aborter: AbortController;
  /** Of what is larger nothing is gathered. Bytes. */
  readonly maxSize: number;
}

/** A wrong byte somewhere: what came has another digest than was asked for. */
export class DigestMismatchError extends Error {
  override readonly name = 'DigestMismatchError';
}

/** The blob is larger than what may be kept. What the upstream sends is none the worse. */
export class TooLargeError extends SpoolError {
  override readonly name = 'TooLargeError';
  /** Bytes; undefined: the upstream does not say. */
  readonly size: number | undefined;

  constructor(size: number | undefined, maxSize: number) {
    super(`a blob of ${size ?? 'even more'} bytes is not kept, as it is larger than ${maxSize}`);
    this.size = size;
  }
}

/** How often a connection that broke off without a single byte is made again, and how long is waited before. */
const maxBarren = 4;
const firstPause = 250;

/** Who has got so much of a blob goes on to its end though nobody waits for it any more: of its whole, and at least. */
const worthShare = 0.25;
const worthBytes = 8 * 1024 * 1024;

/** How long a download goes on when nobody reads it, in milliseconds: clients come again, and layers follow each other. */
const lonelyTime = 10_000;

/**
 * One blob on its way from an upstream into the storage, read by all who want it meanwhile.
 *
 * It goes on when its readers leave, if a quarter of it or 8 MiB have come; else it ends ten seconds later.
 */
export class Download {
  readonly digest: Digest;
  /** Resolves when the blob is stored; rejects when it never will be. */
  readonly stored: Promise<void>;
  readonly #options: DownloadOptions;
  readonly #file: GrowingFile;
  /** Resolves when all of it is here, and right. */
  readonly #received: Promise<void>;
  /** For whom it comes: whoever asks for it there gets it. */
  readonly #repositories: Set<RepositoryName>;
  /** Who has given bytes of it. */
  readonly #sources = new Set<string>();
  #first: UpstreamBlob | undefined;
  #size: number | undefined;
  #hasEnded = false;
  #lonely: NodeJS.Timeout | undefined;

  private constructor(options: DownloadOptions, first: UpstreamBlob, file: GrowingFile) {
    this.#options = options;
    this.#first = first;
    this.#file = file;
    this.#repositories = new Set([options.repository]);
    this.#size = first.size;
    this.digest = options.digest;
    this.#received = this.#receive();
    this.stored = this.#keep();
    // Whoever waits for it hears of it; nobody has to.
    this.stored.catch(() => undefined);
    this.#left();
  }

  /**
   * Resolves when the upstream has answered; when it does not say how long the blob is, not before it has sent it all.
   *
   * @throws TooLargeError, what `open` throws, what makes the download fail by then
   */
  static async begin(options: DownloadOptions): Promise<Download> {
    const { maxSize, aborter } = options;
    const { signal } = aborter;
    const first = await options.open(0, signal);
    let download: Download;
    try {
      signal.throwIfAborted();
      if (first.size !== undefined && first.size > maxSize) throw new TooLargeError(first.size, maxSize);
      download = new Download(options, first, await options.createFile(first.size));
    } catch (error) {
      first.close();
      throw error;
    }
    if (first.size === undefined) await download.#received;
    return download;
  }

  /** Of the blob, in bytes. */
  get size(): number {
    return this.#size ?? this.#file.written;
  }

  get received(): number {
    return this.#file.written;
  }

  /** Whether nothing comes of it any more: it has been stored, or has failed. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  isFor(repository: RepositoryName): boolean {
    return this.#repositories.has(repository);
  }

  /** Is for one more repository from now on. @returns false when it has ended */
  add(repository: RepositoryName): boolean {
    if (!this.#hasEnded) this.#repositories.add(repository);
    return !this.#hasEnded;
  }

  /** Streams the blob or a part of it as it comes. @returns undefined when it has ended and is not here any more */
  read(range: ByteRange, signal?: AbortSignal): ContentReader | undefined {
    const reader = this.#file.read(range, signal);
    if (reader === undefined) return undefined;
    clearTimeout(this.#lonely);
    return {
      size: reader.size,
      close: async () => {
        await reader.close();
        this.#left();
      },
      [Symbol.asyncIterator]: () => this.#watched(reader),
    };
  }

  /** Ends it, unless it has ended. */
  abort(reason: unknown): void {
    this.#options.aborter.abort(reason);
  }

  async *#watched(reader: ContentReader): AsyncGenerator<Buffer> {
    try {
      yield* reader;
    } finally {
      this.#left();
    }
  }

  #left(): void {
    // Of what has no size yet, its first readers still wait for the end.
    if (this.#hasEnded || this.#size === undefined || this.#file.readers > 0) return;
    const size = this.#size;
    clearTimeout(this.#lonely);
    this.#lonely = setTimeout(() => {
      const { written, readers } = this.#file;
      if (readers > 0 || written >= size * worthShare || written >= worthBytes) return;
      this.abort(new Error('nobody waits for it any more'));
    }, lonelyTime);
    this.#lonely.unref();
  }

  async #keep(): Promise<void> {
    const file = this.#file;
    try {
      await this.#received;
      // Also for those who come meanwhile.
      for (const repository of this.#repositories) await this.#options.store(() => file.content(), repository);
    } finally {
      this.#hasEnded = true;
      clearTimeout(this.#lonely);
      await file.release();
    }
  }

  async #receive(): Promise<void> {
    try {
      while (!(await this.#receiveAll()));
      this.#size = this.#file.written;
      this.#file.finish();
    } catch (error) {
      this.#hasEnded = true;
      this.#file.fail(error);
      throw error;
    }
  }

  /** @returns false when it was wrong, but nobody has seen it and there is somebody else to ask */
  async #receiveAll(): Promise<boolean> {
    try {
      const hash = createHash(algorithmOf(this.digest));
      await this.#receiveParts(hash);
      const found = digestFromHash(algorithmOf(this.digest), hash);
      if (found === this.digest) return true;
      throw new DigestMismatchError(`the upstream sent other bytes: ${found}`);
    } catch (error) {
      if (!(error instanceof DigestMismatchError)) throw error;
      const hasOther = this.#options.distrust(this.#sources);
      if (!hasOther || !(await this.#file.restart())) throw error;
      this.#sources.clear();
      return false;
    }
  }

  async #receiveParts(hash: Hash): Promise<void> {
    const { aborter, judge } = this.#options;
    for (let barren = 0; ; await this.#pause(firstPause * 2 ** barren)) {
      const before = this.#file.written;
      let fault: unknown = new Error('the upstream broke off');
      let isEnd = false;
      try {
        await this.#receiveSome(hash);
        isEnd = true;
      } catch (error) {
        aborter.signal.throwIfAborted();
        if (error instanceof DigestMismatchError) throw error;
        const verdict = judge(error);
        if (verdict === 'wrong') throw new DigestMismatchError('the upstream sent something else', { cause: error });
        if (verdict === 'final') throw error;
        fault = error;
      }
      const { written } = this.#file;
      if (this.#size === undefined ? isEnd : written === this.#size) return;
      barren = written > before ? 0 : barren + 1;
      if (barren > maxBarren) throw fault;
    }
  }

  /** @throws the reason of the signal, as soon as it is aborted */
  async #pause(milliseconds: number): Promise<void> {
    const { signal } = this.#options.aborter;
    const { wait = (time: number) => delay(time, undefined, { signal }) } = this.#options;
    await untilAborted(wait(milliseconds), signal);
  }

  /** From where the bytes end as far as one connection brings them. */
  async #receiveSome(hash: Hash): Promise<void> {
    const { maxSize, aborter } = this.#options;
    const { signal } = aborter;
    const file = this.#file;
    const blob = this.#first ?? (await this.#options.open(file.written, signal));
    this.#first = undefined;
    const isOtherSize = blob.size !== undefined && this.#size !== undefined && blob.size !== this.#size;
    try {
      if (isOtherSize) {
        // Who gives another size than readers were told is not to be distrusted for that: if it is he who is wrong, his
        // bytes will show it when he is asked first.
        if (this.#sources.size > 0) throw new DigestMismatchError('the upstream has changed its mind about the size');
        throw new RegistryError('UNAVAILABLE', { message: 'the blob has another size than was said' });
      }
      this.#sources.add(blob.endpoint);
      // What is here already comes once more from an upstream that knows no ranges.
      let skip = file.written - blob.start;
      if (skip < 0) throw new DigestMismatchError('the upstream left out a part');
      for await (const chunk of blob.body) {
        signal.throwIfAborted();
        const fresh = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        if (this.#size !== undefined && file.written + fresh.length > this.#size) {
          throw new DigestMismatchError('the upstream sent more bytes than it announced');
        }
        if (file.written + fresh.length > maxSize) throw new TooLargeError(undefined, maxSize);
        hash.update(fresh);
        await file.append(fresh);
      }
    } finally {
      blob.close();
    }
  }
}
