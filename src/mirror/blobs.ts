import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { PathNotFoundError, StorageError } from '../../storage-drivers/driver.ts';
import { type Descriptor, octetStream } from '../oci/descriptor.ts';
import { algorithmOf, type Digest, digestFromHash } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { Blob, Blobs, ByteRange, ContentReader, Registry } from '../registry/registry.ts';
import { Download, type DownloadSource, TooLargeError } from './downloads/download.ts';
import type { Downloads } from './downloads/downloads.ts';
import { SpoolError } from './downloads/growing-file.ts';
import { registryError, unlessUnknown } from './faults.ts';
import type { Marks } from './marks.ts';
import type { Mirrored } from './naming.ts';
import { answerTime, maxRefused, Questions } from './questions.ts';
import type { UpstreamSlots } from './slots.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, MirrorFault, Upstream } from './upstream.ts';

export interface MirroredBlobsOptions {
  readonly store: Registry;
  readonly marks: Marks;
  readonly downloads: Downloads;
  /** For questions. */
  readonly slots: UpstreamSlots;
  readonly onEvent: (event: MirrorEvent) => void;
  readonly onFault: (fault: MirrorFault) => void;
}

/** What is not longer a storage gives at once when it is opened, and cannot fail later. Bytes. */
const atOnce = 64 * 1024;

/** How long an endpoint that sent wrong bytes is not asked for that blob again, if there is another one, in milliseconds. */
const distrustTime = 3_600_000;

/** How long it is believed that the storage has a blob, before the next client is sent there, in milliseconds: to ask costs more than all else. */
const sightTime = 10_000;

/** The blobs of upstreams: from the storage where they are, else from the upstream, once for all who ask. */
export class MirroredBlobs {
  readonly #options: MirroredBlobsOptions;
  /** How long blobs are. */
  readonly #questions: Questions<number | undefined>;
  /** What upstreams said they have, with its size, and what they do not have. */
  readonly #known = new LRUCache<string, { size: number | undefined }>({ max: 10_000, ttl: answerTime });
  readonly #refused = new LRUCache<string, { error: unknown }>({ max: maxRefused, ttl: answerTime });
  /** URLs of endpoints, in the order in which they sent them; for as long as since the first one did. */
  readonly #distrusted = new LRUCache<Digest, ReadonlySet<string>>({ max: 1_000, ttl: distrustTime });
  /** Blobs that the storage had lately. */
  readonly #seen = new LRUCache<Digest, true>({ max: 10_000, ttl: sightTime });

  constructor(options: MirroredBlobsOptions) {
    this.#options = options;
    this.#questions = new Questions(options.slots);
  }

  /** Those of one repository. */
  of(mirrored: Mirrored<Upstream>): Pick<Blobs, 'stat' | 'get'> {
    return {
      stat: (digest, signal) => told(this.#stat(mirrored, digest, signal), digest),
      get: (digest, signal) => told(this.#get(mirrored, digest, signal), digest),
    };
  }

  /** What is not kept is only asked after: who wants to know how long a blob is need not want it. */
  async #stat(mirrored: Mirrored<Upstream>, digest: Digest, signal?: AbortSignal): Promise<Descriptor> {
    const kept = await unlessUnknown(this.#kept(mirrored).stat(digest, signal), 'BLOB_UNKNOWN');
    if (kept !== undefined) return kept;
    const size = await this.#head(mirrored, digest, signal);
    if (size !== undefined) return descriptorOf(digest, size);
    const { name } = mirrored.upstream;
    throw new RegistryError('UNAVAILABLE', { message: `${name} does not say how long the blob ${digest} is` });
  }

  async #get(mirrored: Mirrored<Upstream>, digest: Digest, signal?: AbortSignal): Promise<Blob> {
    const { upstream, local } = mirrored;
    const report = (outcome: MirrorEvent['outcome'], descriptor: Descriptor) => {
      const { name } = upstream;
      this.#options.onEvent({
        outcome,
        kind: 'blob',
        upstream: name,
        repository: local,
        reference: digest,
        descriptor,
      });
    };
    try {
      const found = await this.#find(mirrored, digest, signal);
      const isKept = !(found instanceof Download);
      const descriptor = isKept ? found.descriptor : descriptorOf(digest, found.size);
      const outcome = isKept ? 'hit' : 'miss';
      report(outcome, descriptor);
      return {
        descriptor,
        mirroring: { upstream: upstream.name, outcome },
        open: (range = { start: 0, end: descriptor.size - 1 }, aborted) =>
          told(this.#open(found, mirrored, digest, range, aborted), digest),
        redirectUrl: async (aborted) => (isKept ? this.#redirectUrl(found, mirrored, digest, aborted) : undefined),
      };
    } catch (error) {
      if (!(error instanceof SpoolError)) throw error;
      this.#options.onFault({ upstream: upstream.name, repository: local, reference: digest, error });
      if (error instanceof TooLargeError && error.size !== undefined) {
        this.#known.set(keyOf(mirrored, digest), { size: error.size });
      }
      const descriptor = await this.#stat(mirrored, digest, signal);
      report('miss', descriptor);
      return {
        descriptor,
        mirroring: { upstream: upstream.name, outcome: 'miss' },
        open: async (range = { start: 0, end: descriptor.size - 1 }, aborted) =>
          this.#directly(mirrored, digest, range, aborted),
        redirectUrl: async () => undefined,
      };
    }
  }

  /** The blob as it is kept, or as it comes. */
  async #find(mirrored: Mirrored<Upstream>, digest: Digest, signal?: AbortSignal): Promise<Blob | Download> {
    const { downloads, marks } = this.#options;
    const { local } = mirrored;
    const kept = this.#kept(mirrored);
    for (;;) {
      const { ended } = downloads;
      const running = downloads.find(digest);
      if (running !== undefined) {
        const download = await running.begun(signal).catch((error: unknown) => {
          if (signal?.aborted || running.repository === local) throw error;
          // What somebody else was told says nothing of this repository.
          return undefined;
        });
        if (download === undefined) continue;
        if (download.hasEnded) {
          await download.stored.catch(() => undefined);
          continue;
        }
        if (download.isFor(local)) return download;
        await this.#prove(mirrored, digest, download.size, signal);
        if (download.add(local)) return download;
        continue;
      }
      const found = await unlessUnknown(kept.get(digest, signal), 'BLOB_UNKNOWN');
      if (found !== undefined) return found;
      const refused = this.#refused.get(keyOf(mirrored, digest));
      if (refused !== undefined) throw refused.error;
      // One that was under way when we looked may be there now.
      if (downloads.ended !== ended || downloads.find(digest) !== undefined) continue;
      const adopt = kept.adopt(digest, async (size) => {
        await this.#checkShared(mirrored, digest);
        await this.#prove(mirrored, digest, size, signal);
        await marks.claim(local);
      });
      const adopted = await unlessUnknown(adopt, 'BLOB_UNKNOWN').catch((error: unknown) => {
        // A storage that takes nothing must not keep from clients what the upstream has.
        throw error instanceof StorageError ? new SpoolError(`it cannot be linked: ${error}`, { cause: error }) : error;
      });
      if (adopted !== undefined || downloads.ended !== ended) continue;
      // What is known not to be kept need not be begun.
      downloads.checkSize(this.#known.get(keyOf(mirrored, digest))?.size ?? 0);
      downloads.begin(this.#source(mirrored, digest));
    }
  }

  #source(mirrored: Mirrored<Upstream>, digest: Digest): DownloadSource {
    const { store, marks } = this.#options;
    const { upstream, local } = mirrored;
    return {
      digest,
      upstream: upstream.name,
      repository: local,
      open: async (start, aborted) => {
        try {
          return await this.#openBlob(mirrored, digest, start, aborted);
        } catch (error) {
          this.#heard(mirrored, digest, error);
          throw error;
        }
      },
      judge: (error) =>
        isUpstreamError(error, 'unreachable') ? 'transient' : isUpstreamError(error, 'invalid') ? 'wrong' : 'final',
      distrust: (endpoints) => {
        const before = [...(this.#distrusted.get(digest) ?? [])].filter((url) => !endpoints.has(url));
        const all = new Set([...before, ...endpoints]);
        this.#distrusted.set(digest, all, { noUpdateTTL: true });
        return upstream.client.status().endpoints.some(({ url }) => !all.has(url));
      },
      async store(content, repository) {
        await marks.claim(repository);
        await marks.bring(digest);
        const { blobs, uploads } = store.repository(repository);
        // It may have come another way meanwhile; for all but the first it is there.
        if ((await blobs.adopt(digest, async () => {})) === undefined) await uploads.put(digest, await content());
      },
    };
  }

  /**
   * Who is sent to the storage does not come back when it is not there: another process may have evicted it, without its link
   * here if that was new.
   */
  async #redirectUrl(
    found: Blob,
    mirrored: Mirrored<Upstream>,
    digest: Digest,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const url = await found.redirectUrl(signal);
    if (url === undefined || this.#seen.has(digest)) return url;
    const kept = await unlessUnknown(this.#kept(mirrored).stat(digest, signal), 'BLOB_UNKNOWN');
    if (kept === undefined) return undefined;
    this.#seen.set(digest, true);
    return url;
  }

  async #open(
    given: Blob | Download,
    mirrored: Mirrored<Upstream>,
    digest: Digest,
    range: ByteRange,
    signal: AbortSignal | undefined,
  ): Promise<ContentReader> {
    const readOn = (reader: ContentReader) =>
      resumed(reader, (read, error) => {
        this.#checkStored(mirrored, digest, error);
        return this.#directly(mirrored, digest, { ...range, start: range.start + read }, signal);
      });
    for (let found: Blob | Download | undefined = given, attempt = 1; ; attempt++) {
      if (found === undefined) return this.#directly(mirrored, digest, range, signal);
      if (found instanceof Download) {
        const reader = found.read(range, signal);
        if (reader !== undefined) return readOn(reader);
      } else {
        const reader = await unlessUnknown(found.open(range, signal), 'BLOB_UNKNOWN');
        if (reader !== undefined) return reader.size <= atOnce ? reader : readOn(reader);
      }
      if (attempt === 3) throw new RegistryError('UNAVAILABLE');
      // It has ended meanwhile, or was evicted.
      found = await this.#find(mirrored, digest, signal).catch((error: unknown) => {
        if (error instanceof SpoolError) return undefined;
        throw error;
      });
    }
  }

  /**
   * A disk that is full must not keep from the client what the upstream goes on to send, nor a storage that fails in the middle:
   * in a bucket it is gone when it was evicted while a client stood still, as its reader has given the connection back.
   *
   * @throws the error, if it is another one
   */
  #checkStored({ upstream, local: repository }: Mirrored<Upstream>, digest: Digest, error: unknown): void {
    if (error instanceof SpoolError || error instanceof PathNotFoundError) return;
    if (!(error instanceof StorageError)) throw error;
    this.#options.onFault({ upstream: upstream.name, repository, reference: digest, error });
  }

  #openBlob({ upstream, remote }: Mirrored<Upstream>, digest: Digest, start: number, signal: AbortSignal) {
    const avoid = this.#distrusted.get(digest);
    return upstream.client.openBlob(remote, digest, { start, ...(avoid && { avoid }) }, signal);
  }

  /** From the upstream to the client, without keeping it: nobody verifies the digest but the client. */
  #directly(
    mirrored: Mirrored<Upstream>,
    digest: Digest,
    range: ByteRange,
    signal: AbortSignal | undefined,
  ): ContentReader {
    return readerOf(range, signal, (closed) => this.#bytes(mirrored, digest, range, closed));
  }

  async *#bytes(
    mirrored: Mirrored<Upstream>,
    digest: Digest,
    { start, end }: ByteRange,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const blob = await this.#openBlob(mirrored, digest, start, signal);
    try {
      let position = blob.start;
      for await (const chunk of blob.body) {
        const wanted = chunk.subarray(Math.max(0, start - position), end + 1 - position);
        position += chunk.length;
        if (wanted.length > 0) yield wanted;
        if (position > end) return;
      }
    } finally {
      blob.close();
    }
  }

  /**
   * What only hosted repositories have is not for whoever says that he has it, too: he must give the bytes.
   *
   * @throws RegistryError BLOB_UNKNOWN
   */
  async #checkShared({ upstream }: Mirrored<Upstream>, digest: Digest): Promise<void> {
    // Without a prefix all that is there is the upstream's.
    if (upstream.prefix === '' || (await this.#options.marks.isBrought(digest))) return;
    throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
  }

  /** That the upstream has it in this very repository: what others have is not for who may read this one. */
  async #prove(mirrored: Mirrored<Upstream>, digest: Digest, size: number, signal?: AbortSignal): Promise<void> {
    if ((await this.#head(mirrored, digest, signal)) === size) return;
    // It does not say how long it is, or something else: only the bytes themselves prove it.
    const { upstream, remote } = mirrored;
    const verify = async (aborted: AbortSignal) => {
      const hash = createHash(algorithmOf(digest));
      const blob = await upstream.client.openBlob(remote, digest, {}, aborted);
      let received = 0;
      for await (const chunk of blob.body) {
        received += chunk.length;
        if (received > size) break;
        hash.update(chunk);
      }
      if (received === size && digestFromHash(algorithmOf(digest), hash) === digest) return size;
      throw new RegistryError('UNAVAILABLE', { message: `${upstream.name} has other bytes under ${digest}` });
    };
    await this.#questions.of(upstream.name, `${keyOf(mirrored, digest)} verified`, verify).answer(signal);
    this.#known.set(keyOf(mirrored, digest), { size });
  }

  /** @returns the size; undefined when the upstream does not say */
  async #head(mirrored: Mirrored<Upstream>, digest: Digest, signal?: AbortSignal): Promise<number | undefined> {
    const { upstream, remote } = mirrored;
    const key = keyOf(mirrored, digest);
    const known = this.#known.get(key);
    if (known !== undefined) return known.size;
    const refused = this.#refused.get(key);
    if (refused !== undefined) throw refused.error;
    const ask = async (aborted: AbortSignal) => {
      try {
        const size = await upstream.client.headBlob(remote, digest, aborted);
        this.#known.set(key, { size });
        return size;
      } catch (error) {
        this.#heard(mirrored, digest, error);
        throw error;
      }
    };
    return this.#questions.of(upstream.name, key, ask).answer(signal);
  }

  #heard(mirrored: Mirrored<Upstream>, digest: Digest, error: unknown): void {
    if (isUpstreamError(error, 'missing') || isUpstreamError(error, 'denied')) {
      this.#refused.set(keyOf(mirrored, digest), { error });
    }
  }

  #kept({ local }: Mirrored<Upstream>): Blobs {
    return this.#options.store.repository(local).blobs;
  }
}

/** @throws what clients are told */
async function told<T>(promise: Promise<T>, digest: Digest): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw registryError(error, 'BLOB_UNKNOWN', { digest });
  }
}

function keyOf({ local }: Mirrored<Upstream>, digest: Digest): string {
  return `${local} ${digest}`;
}

function descriptorOf(digest: Digest, size: number): Descriptor {
  return { mediaType: octetStream, digest, size };
}

/** @param bytes is given a signal that says that nobody reads on */
function readerOf(
  { start, end }: ByteRange,
  signal: AbortSignal | undefined,
  bytes: (closed: AbortSignal) => AsyncGenerator<Buffer>,
): ContentReader {
  const aborter = new AbortController();
  const closed = signal === undefined ? aborter.signal : AbortSignal.any([signal, aborter.signal]);
  const chunks = bytes(closed);
  return {
    size: end - start + 1,
    async close() {
      aborter.abort(new Error('the reader was closed'));
      await chunks.return(undefined).catch(() => undefined);
    },
    [Symbol.asyncIterator]: () => chunks,
  };
}

/** A reader that goes on with another one where it fails. @param rest is given how many bytes have been read; may throw */
function resumed(reader: ContentReader, rest: (read: number, error: unknown) => ContentReader): ContentReader {
  let current = reader;
  let isClosed = false;
  return {
    size: reader.size,
    async close() {
      isClosed = true;
      await current.close();
    },
    async *[Symbol.asyncIterator]() {
      let read = 0;
      try {
        for await (const chunk of reader) {
          read += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        if (isClosed) throw error;
        current = rest(read, error);
      } finally {
        await reader.close();
      }
      yield* current;
    },
  };
}
