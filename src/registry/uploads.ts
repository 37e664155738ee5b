import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  isPathSegment,
  PathNotFoundError,
  type StorageDriver,
  type StorageWriter,
  WriterBusyError,
} from '../../storage-drivers/driver.ts';
import { octetStream } from '../oci/descriptor.ts';
import { algorithmOf, type Digest, type DigestAlgorithm, digestFromHash, digestOf } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Content } from './content.ts';
import { layout } from './layout.ts';
import { exists, linkTo, remove, statOrUndefined } from './links.ts';
import type { Body, Upload, Uploads } from './registry.ts';
import { newHash, type RunningHash, type UploadHashes, update } from './upload-hashes.ts';

/** A whole blob up to this many bytes is verified in memory and stored at once; the session's file stays empty. */
const smallSize = 64 * 1024;

/** In characters; ours have 36, and a file system takes 255 bytes in a name. */
const maxIdLength = 128;

/** How long a request waits for another one of its session to end, in milliseconds. */
const patience = 3_000;

export interface UploadsOptions {
  driver: StorageDriver;
  content: Content;
  hashes: UploadHashes;
  /** Sessions in which a request of this process is at work. */
  busy: Set<string>;
  now: () => Date;
}

export function createUploads(options: UploadsOptions, name: RepositoryName): Uploads {
  const { driver, hashes } = options;
  return {
    async create(algorithm) {
      const id = randomUUID();
      const started = Buffer.from(startedAt(options.now()));
      // A session without bytes promises nothing that a power cut could break.
      await driver.putAll(
        [
          { path: layout.uploadStartedAt(name, id), content: started },
          { path: layout.uploadData(name, id), content: Buffer.alloc(0) },
        ],
        { durable: false },
      );
      hashes.keep(id, newHash(algorithm ?? 'sha256'));
      return createUpload(options, name, id);
    },

    // Its file is what a session is: whoever dies behind a commit, which takes the file away, leaves none.
    async find(id) {
      const known =
        id.length <= maxIdLength && isPathSegment(id) && (await exists(driver, layout.uploadData(name, id)));
      if (!known) throw unknown(id);
      return createUpload(options, name, id);
    },
  };
}

function unknown(id: string): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}

/** RFC 3339 in UTC with whole seconds, as distribution writes it. */
export function startedAt(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

function createUpload({ driver, content, hashes, busy }: UploadsOptions, name: RepositoryName, id: string): Upload {
  const dataPath = layout.uploadData(name, id);

  async function size(): Promise<number> {
    return (await statOrUndefined(driver, dataPath))?.size ?? 0;
  }

  /** A power cut that brings the folder of an ended session back costs nothing but its purge. */
  async function forget(): Promise<void> {
    await remove(driver, layout.upload(name, id), { durable: false });
  }

  function outOfOrder(message: string, size: number): RegistryError {
    return new RegistryError('UPLOAD_OUT_OF_ORDER', { message, detail: { size } });
  }

  /**
   * Runs a task on the session while no other request of this process does, if the session is still there then.
   *
   * @param task is given the bytes received
   */
  async function alone<T>(task: (received: number) => Promise<T>): Promise<T> {
    const key = `${name}/${id}`;
    for (const deadline = Date.now() + patience; busy.has(key); await delay(20)) {
      if (Date.now() > deadline) throw outOfOrder('another request is writing to this upload', await size());
    }
    busy.add(key);
    try {
      const stat = await statOrUndefined(driver, dataPath);
      if (stat === undefined) throw unknown(id);
      return await task(stat.size);
    } catch (error) {
      // Another process has ended the session meanwhile.
      throw error instanceof PathNotFoundError ? unknown(id) : error;
    } finally {
      busy.delete(key);
    }
  }

  /** A writer at the end of the session's bytes, which no other process has either. */
  async function openWriter(received: number, start: number | undefined): Promise<StorageWriter> {
    for (const deadline = Date.now() + patience; ; await delay(20)) {
      try {
        const writer = await driver.writer(dataPath, { append: true });
        const { size } = writer;
        // Opening has made the file anew if another process ended the session just now: a session that comes back
        // could have other bytes than those that were hashed.
        if (size < received || !(await exists(driver, layout.uploadStartedAt(name, id)))) {
          await writer.cancel();
          throw unknown(id);
        }
        if (start === undefined || start === size) return writer;
        await writer.close();
        throw outOfOrder(`the upload has ${size} bytes; the next chunk must start there`, size);
      } catch (error) {
        if (!(error instanceof WriterBusyError)) throw error;
        if (Date.now() > deadline) throw outOfOrder('another process is writing to this upload', received);
      }
    }
  }

  async function write(writer: StorageWriter, body: Body, running: RunningHash | undefined): Promise<void> {
    for await (const chunk of body) {
      // Hashed before it is given away: the writer may then store it while the next one arrives.
      if (running !== undefined) update(running, chunk);
      await writer.write(chunk);
    }
  }

  /** The hash over what the writer's path already has, for when nobody hashed it while it came. */
  async function rehash(algorithm: DigestAlgorithm, size: number): Promise<RunningHash> {
    const running = newHash(algorithm);
    for await (const chunk of await driver.reader(dataPath, { end: size - 1 })) update(running, chunk);
    return running;
  }

  function mismatch(digest: Digest): RegistryError {
    return new RegistryError('DIGEST_INVALID', {
      message: 'provided digest did not match uploaded content',
      detail: { digest },
    });
  }

  /** Verifies and stores a blob that is at hand as a whole. @returns its size */
  async function commitSmall(bytes: Buffer, digest: Digest): Promise<number> {
    if (digestOf(bytes, algorithmOf(digest)) === digest) {
      await content.put(digest, bytes, linksTo(digest));
      return bytes.length;
    }
    await forget();
    throw mismatch(digest);
  }

  const linksTo = (digest: Digest) => [linkTo(layout.layer(name, digest), digest)];

  async function commitWriter(writer: StorageWriter, digest: Digest, body: Body): Promise<number> {
    const algorithm = algorithmOf(digest);
    let running: RunningHash | undefined;
    try {
      running = hashes.take(id, writer.size, algorithm);
      if (running === undefined) {
        // Bytes kept by an earlier request are on the storage, and those of this one are not yet.
        running = await rehash(algorithm, writer.size);
      }
      await write(writer, body, running);
    } catch (error) {
      await writer.close();
      if (running?.size === writer.size) hashes.keep(id, running);
      throw error;
    }
    if (digestFromHash(algorithm, running.hash) !== digest) {
      await writer.cancel();
      await forget();
      throw mismatch(digest);
    }
    // The link first: a crash in between leaves it leading nowhere, which counts as no link, and the session whole. The
    // other way round the bytes would be gone from the session, and no repository would have them.
    await writer.commit(layout.blobData(digest), linksTo(digest));
    return running.size;
  }

  return {
    id,
    size,

    append: (body, start) =>
      alone(async (received) => {
        const writer = await openWriter(received, start);
        const running = hashes.take(id, writer.size);
        try {
          await write(writer, body, running);
        } finally {
          await writer.close();
          if (running?.size === writer.size) hashes.keep(id, running);
        }
        return writer.size;
      }),

    commit: (digest, body = nothing, start) =>
      alone(async (received) => {
        const isFirst = received === 0 && (start ?? 0) === 0;
        const head: Head = isFirst ? await readSmall(body) : { complete: false, rest: body };
        const total = head.complete
          ? await commitSmall(head.bytes, digest)
          : await commitWriter(await openWriter(received, start), digest, head.rest);
        await forget();
        return { mediaType: octetStream, digest, size: total };
      }),

    cancel: () =>
      alone(async (received) => {
        const writer = await openWriter(received, undefined);
        await writer.cancel();
        await forget();
      }),
  };
}

const nothing: Body = {
  async *[Symbol.asyncIterator]() {},
};

type Head = { complete: true; bytes: Buffer } | { complete: false; rest: Body };

/** Reads a body as far as it is small: it is then complete, or the rest begins with what was read. */
async function readSmall(body: Body): Promise<Head> {
  const iterator = body[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  for (let length = 0; length <= smallSize; ) {
    const { done, value } = await iterator.next();
    if (done) return { complete: true, bytes: Buffer.concat(chunks) };
    chunks.push(value);
    length += value.length;
  }
  return {
    complete: false,
    rest: {
      async *[Symbol.asyncIterator]() {
        yield* chunks;
        yield* { [Symbol.asyncIterator]: () => iterator };
      },
    },
  };
}
