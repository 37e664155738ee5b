import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  isPathSegment,
  PathNotFoundError,
  type StorageDriver,
  type StorageWriter,
  WriterBusyError,
  type WriterOptions,
} from '../../storage-drivers/driver.ts';
import { type Descriptor, octetStream } from '../oci/descriptor.ts';
import { algorithmOf, type Digest, type DigestAlgorithm, digestOf, tryParseDigest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Content } from './content.ts';
import { layout } from './layout.ts';
import { linkTo, remove } from './links.ts';
import type { Body, Upload, Uploads } from './registry.ts';
import { digestSoFar, newHash, type RunningHash, type UploadHashes, update } from './upload-hashes.ts';

/** A whole blob up to this many bytes is verified in memory and stored at once; its session never has any bytes. */
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
  const { driver, content, hashes, now } = options;

  async function create(algorithm: DigestAlgorithm = 'sha256'): Promise<Upload> {
    const id = randomUUID();
    const marker = { path: layout.uploadStartedAt(name, id), content: Buffer.from(startedAt(now())) };
    await driver.begin(layout.uploadData(name, id), marker);
    hashes.keep(id, '', newHash(algorithm));
    return createUpload(options, name, id);
  }

  /** @returns undefined when there is nothing to be moved */
  async function move(digest: Digest, { object }: Body): Promise<Descriptor | undefined> {
    if (object === undefined || object.size <= smallSize || driver.move === undefined) return undefined;
    // The link first, as at the end of an upload: what evicts content looks for links.
    await driver.putAll(linksTo(name, digest));
    try {
      await driver.move(object.path, layout.blobData(digest));
    } catch (error) {
      if (error instanceof PathNotFoundError) return undefined;
      throw error;
    }
    content.stored(digest, object.size);
    return { mediaType: octetStream, digest, size: object.size };
  }

  return {
    create,
    find: (id) => createUpload(options, name, id),

    async put(digest, body) {
      const moved = await move(digest, body);
      if (moved !== undefined) return moved;
      const head = await readSmall(body);
      if (head.complete) return commitWhole(content, name, digest, head.bytes);
      const upload = await create(algorithmOf(digest));
      try {
        return await upload.commit(digest, head.rest);
      } catch (error) {
        // Nobody knows of this session, so nobody can go on with it. What stays of it all the same is purged.
        await upload.cancel().catch(() => undefined);
        throw error;
      }
    },
  };
}

function unknown(id: string): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}

function mismatch(digest: Digest): RegistryError {
  return new RegistryError('DIGEST_INVALID', {
    message: 'provided digest did not match uploaded content',
    detail: { digest },
  });
}

const linksTo = (name: RepositoryName, digest: Digest) => [linkTo(layout.layer(name, digest), digest)];

/** Verifies and stores a blob that is at hand as a whole. */
async function commitWhole(content: Content, name: RepositoryName, digest: Digest, bytes: Buffer): Promise<Descriptor> {
  if (digestOf(bytes, algorithmOf(digest)) !== digest) throw mismatch(digest);
  await content.put(digest, bytes, linksTo(name, digest));
  return { mediaType: octetStream, digest, size: bytes.length };
}

/** RFC 3339 in UTC with whole seconds, as distribution writes it. */
export function startedAt(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/**
 * A session is a folder with `startedat`, beside which the driver keeps the bytes received. Each method asks once whether
 * it is there, or has it proven by what it does.
 */
function createUpload({ driver, content, hashes, busy }: UploadsOptions, name: RepositoryName, id: string): Upload {
  const dataPath = layout.uploadData(name, id);
  const marker = layout.uploadStartedAt(name, id);

  async function size(): Promise<number> {
    return (await ofSession(() => driver.kept(dataPath, { marker }))).size;
  }

  /** What is missing is the session. */
  async function ofSession<T>(task: () => Promise<T>): Promise<T> {
    if (id.length > maxIdLength || !isPathSegment(id)) throw unknown(id);
    try {
      return await task();
    } catch (error) {
      throw error instanceof PathNotFoundError ? unknown(id) : error;
    }
  }

  /** What is left of an ended session, by a power cut or a storage that forbids it, costs nothing but its purge. */
  async function forget(): Promise<void> {
    hashes.forget(id);
    await remove(driver, layout.upload(name, id), { durable: false, names: ['startedat', 'data'] });
  }

  function outOfOrder(message: string, size: number): RegistryError {
    return new RegistryError('UPLOAD_OUT_OF_ORDER', { message, detail: { size } });
  }

  /** Runs a task on the session while no other request of this process does. */
  async function alone<T>(task: () => Promise<T>): Promise<T> {
    const key = `${name}/${id}`;
    for (const deadline = Date.now() + patience; busy.has(key); await delay(20)) {
      if (Date.now() > deadline) throw outOfOrder('another request is writing to this upload', await size());
    }
    busy.add(key);
    try {
      return await ofSession(task);
    } catch (error) {
      if (!(error instanceof WriterBusyError)) throw error;
      throw outOfOrder('another process is writing to this upload', await size());
    } finally {
      busy.delete(key);
    }
  }

  /** A writer at the end of the session's bytes, which no other process has either. */
  async function openWriter(start: number | undefined, options: WriterOptions = {}): Promise<StorageWriter> {
    for (const deadline = Date.now() + patience; ; await delay(20)) {
      try {
        const writer = await driver.writer(dataPath, { append: true, marker, ...options });
        const { size } = writer;
        if (start === undefined || start === size) return writer;
        await writer.close();
        throw outOfOrder(`the upload has ${size} bytes; the next chunk must start there`, size);
      } catch (error) {
        if (!(error instanceof WriterBusyError) || Date.now() > deadline) throw error;
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

  /** Keeps what was written, and the hash with it if it covers that. */
  async function keep(writer: StorageWriter, running: RunningHash | undefined): Promise<void> {
    const hash = running?.size === writer.size ? running : undefined;
    await writer.close(hash && digestSoFar(hash));
    if (hash !== undefined) hashes.keep(id, writer.version, hash);
  }

  /** The hash over what is kept already, for when nobody hashed it while it came. */
  async function rehash(writer: StorageWriter, algorithm: DigestAlgorithm): Promise<RunningHash> {
    const running = newHash(algorithm);
    for await (const chunk of await writer.reader()) update(running, chunk);
    return running;
  }

  /** Adds a last body and verifies the whole. Ends the writer when that fails. */
  async function complete(writer: StorageWriter, digest: Digest, body: Body): Promise<void> {
    const algorithm = algorithmOf(digest);
    let running: RunningHash | undefined;
    let found: Digest | undefined;
    try {
      running = hashes.take(id, writer.version, writer.size, algorithm);
      // Another process has hashed what it kept: if nothing more comes, that is all there is to know.
      const note = running === undefined && body === nothing ? await writer.note() : undefined;
      found = note?.startsWith(`${algorithm}:`) ? tryParseDigest(note) : undefined;
      if (found === undefined) {
        running ??= await rehash(writer, algorithm);
        await write(writer, body, running);
        found = digestSoFar(running);
      }
    } catch (error) {
      await keep(writer, running);
      throw error;
    }
    if (found === digest) return;
    await writer.cancel();
    await forget();
    throw mismatch(digest);
  }

  return {
    id,
    size,

    append: (body, start) =>
      alone(async () => {
        const writer = await openWriter(start);
        const running = hashes.take(id, writer.version, writer.size);
        try {
          await write(writer, body, running);
        } finally {
          await keep(writer, running);
        }
        return writer.size;
      }),

    commit: (digest, body = nothing, start) =>
      alone(async () => {
        const head: Head = start === undefined || start === 0 ? await readSmall(body) : { complete: false, rest: body };
        if (head.complete && head.bytes.length > 0) {
          const { size } = await driver.kept(dataPath, { marker });
          if (size === 0) {
            const descriptor = await commitWhole(content, name, digest, head.bytes).catch(async (error: unknown) => {
              if (error instanceof RegistryError) await forget();
              throw error;
            });
            await forget().catch(() => undefined);
            return descriptor;
          }
        }
        const rest = head.complete ? (head.bytes.length > 0 ? once(head.bytes) : nothing) : head.rest;
        // All bytes were seen and have the digest: the commit itself proves that they are there.
        const version = rest === nothing ? hashes.versionOf(id, digest) : undefined;
        const writer = await openWriter(start, {
          to: layout.blobData(digest),
          ...(version !== undefined && { version }),
        });
        await complete(writer, digest, rest);
        const { size } = writer;
        // The link first: a crash in between leaves it leading nowhere, which counts as no link, and the session whole.
        // The other way round the bytes could be gone from the session, and no repository would have them.
        await writer.commit(layout.blobData(digest), linksTo(name, digest));
        content.stored(digest, size);
        await forget().catch(() => undefined);
        return { mediaType: octetStream, digest, size };
      }),

    cancel: () =>
      alone(async () => {
        const writer = await openWriter(undefined);
        await writer.cancel();
        await forget();
      }),
  };
}

const nothing: Body = {
  async *[Symbol.asyncIterator]() {},
};

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

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
