import { createHash, type Hash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { algorithmOf, type Digest, digestFromHash } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { ByteRange, ContentReader } from '../../registry/registry.ts';
import { GrowingFile } from './growing-file.ts';

/** A blob as an upstream gives it, from some byte on. */
export interface UpstreamBlob {
  /** Of the whole, in bytes. */
  readonly size: number;
  /** Where `body` begins: what was asked for, or 0 when the upstream knows no ranges. */
  readonly start: number;
  readonly body: AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export interface DownloadOptions {
  readonly digest: Digest;
  /** Asks the upstream. @param start from which byte on */
  open(start: number, signal: AbortSignal): Promise<UpstreamBlob>;
  /** Where the bytes are gathered; not there yet. */
  readonly file: string;
  /** Whether to try again when the upstream breaks off. Anything else that is thrown ends the download. */
  isTransient(error: unknown): boolean;
  /** Puts the whole, verified file into the storage, for these repositories. */
  store(file: GrowingFile, repositories: ReadonlySet<RepositoryName>): Promise<void>;
  /** Default: waits. For tests. */
  readonly wait?: (milliseconds: number) => Promise<void>;
}

/** A wrong byte somewhere: what came has another digest than was asked for. */
export class DigestMismatchError extends Error {
  override readonly name = 'DigestMismatchError';
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
  /** Of the blob, in bytes. */
  readonly size: number;
  /** For whom it comes: whoever asks for it there gets it. */
  readonly repositories = new Set<RepositoryName>();
  /** Resolves when the blob is stored; rejects when it never will be. */
  readonly stored: Promise<void>;
  readonly #options: DownloadOptions;
  readonly #file: GrowingFile;
  readonly #aborter: AbortController;
  #first: UpstreamBlob | undefined;
  #lonely: NodeJS.Timeout | undefined;

  private constructor(options: DownloadOptions, first: UpstreamBlob, file: GrowingFile, aborter: AbortController) {
    this.#options = options;
    this.#first = first;
    this.#file = file;
    this.#aborter = aborter;
    this.digest = options.digest;
    this.size = first.size;
    this.stored = this.#run();
    // Whoever waits for it hears of it; nobody has to.
    this.stored.catch(() => undefined);
    this.#left();
  }

  /** Resolves when the upstream has answered. @throws what `open` throws */
  static async begin(options: DownloadOptions): Promise<Download> {
    const aborter = new AbortController();
    const first = await options.open(0, aborter.signal);
    try {
      return new Download(options, first, await GrowingFile.create(options.file, first.size), aborter);
    } catch (error) {
      await first.close();
      throw error;
    }
  }

  get received(): number {
    return this.#file.written;
  }

  /** Streams the blob or a part of it as it comes. */
  read(range: ByteRange, signal?: AbortSignal): ContentReader {
    clearTimeout(this.#lonely);
    const reader = this.#file.read(range, signal);
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
    this.#aborter.abort(reason);
  }

  async *#watched(reader: ContentReader): AsyncGenerator<Buffer> {
    try {
      yield* reader;
    } finally {
      this.#left();
    }
  }

  #left(): void {
    if (this.#file.readers > 0) return;
    clearTimeout(this.#lonely);
    this.#lonely = setTimeout(() => {
      const { written, readers } = this.#file;
      if (readers > 0 || written >= this.size * worthShare || written >= worthBytes) return;
      this.abort(new Error('nobody waits for it any more'));
    }, lonelyTime);
    this.#lonely.unref();
  }

  async #run(): Promise<void> {
    const file = this.#file;
    try {
      await this.#receive();
      await this.#options.store(file, this.repositories);
      file.finish();
    } catch (error) {
      file.fail(error);
      throw error;
    } finally {
      clearTimeout(this.#lonely);
      await file.release();
    }
  }

  async #receive(): Promise<void> {
    const hash = createHash(algorithmOf(this.digest));
    const { wait = (milliseconds: number) => delay(milliseconds) } = this.#options;
    for (let barren = 0; ; await wait(firstPause * 2 ** barren)) {
      const before = this.#file.written;
      let fault: unknown = new Error('the upstream broke off');
      try {
        await this.#receiveSome(hash);
      } catch (error) {
        this.#aborter.signal.throwIfAborted();
        if (!this.#options.isTransient(error)) throw error;
        fault = error;
      }
      if (this.#file.written === this.size) break;
      barren = this.#file.written > before ? 0 : barren + 1;
      if (barren > maxBarren) throw fault;
    }
    const found = digestFromHash(algorithmOf(this.digest), hash);
    if (found !== this.digest) throw new DigestMismatchError(`the upstream sent other bytes: ${found}`);
  }

  /** From where the bytes end as far as one connection brings them. */
  async #receiveSome(hash: Hash): Promise<void> {
    const { signal } = this.#aborter;
    const file = this.#file;
    const blob = this.#first ?? (await this.#options.open(file.written, signal));
    this.#first = undefined;
    try {
      if (blob.size !== this.size) throw new DigestMismatchError('the upstream has changed its mind about the size');
      // What is here already comes once more from an upstream that knows no ranges.
      let skip = file.written - blob.start;
      if (skip < 0) throw new DigestMismatchError('the upstream left out a part');
      for await (const chunk of blob.body) {
        signal.throwIfAborted();
        const fresh = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - fresh.length;
        if (fresh.length === 0) continue;
        hash.update(fresh);
        await file.append(fresh);
      }
    } finally {
      await blob.close();
    }
  }
}
