import { createCipheriv, createHash } from 'node:crypto';

/** How much is handed to the socket at once, in bytes. */
const sliceSize = 1 << 20;

/** What the Go client puts into one chunk of a chunked body: the buffer of io.Copy. In bytes. */
const frameSize = 32 << 10;

/**
 * Content for pushes: pseudo-random bytes, the same in every run, of which the first eight are a number that makes the
 * blob unique. The bytes are made once, so that a push costs the client next to nothing beside the sending.
 */
export class Content {
  readonly size: number;
  readonly #bytes: Buffer;
  readonly #digests = new Map<number, string>();
  #framed: Buffer | undefined;

  /** @param size in bytes, a multiple of 32 KiB */
  constructor(size: number) {
    if (size % frameSize !== 0) throw new TypeError('content comes in pieces of 32 KiB');
    this.size = size;
    const cipher = createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16, 2));
    this.#bytes = Buffer.alloc(size);
    const zeros = Buffer.alloc(frameSize);
    for (let offset = 0; offset < size; offset += frameSize) cipher.update(zeros).copy(this.#bytes, offset);
  }

  /** The digest of blob `number`. Costs a pass over the content at the first time, so it is to be called before the clock runs. */
  digest(number: number): string {
    let digest = this.#digests.get(number);
    if (digest === undefined) {
      const hash = createHash('sha256').update(prefix(number)).update(this.#bytes.subarray(8));
      digest = `sha256:${hash.digest('hex')}`;
      this.#digests.set(number, digest);
    }
    return digest;
  }

  /** The bytes of blob `number`. */
  *plain(number: number): Generator<Buffer> {
    yield* slices(this.#bytes, 0, number);
  }

  /** The bytes of blob `number` as a chunked body (RFC 9112, section 7.1). */
  *chunked(number: number): Generator<Buffer> {
    this.#framed ??= frame(this.#bytes);
    yield* slices(this.#framed, frameHead.length, number);
  }
}

const frameHead = Buffer.from(`${frameSize.toString(16)}\r\n`);

function frame(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let offset = 0; offset < bytes.length; offset += frameSize) {
    parts.push(frameHead, bytes.subarray(offset, offset + frameSize), Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}

function prefix(number: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(number));
  return bytes;
}

function* slices(bytes: Buffer, prefixAt: number, number: number): Generator<Buffer> {
  // Only what differs is copied: pushes run side by side over the same bytes.
  const first = Buffer.from(bytes.subarray(0, frameSize));
  prefix(number).copy(first, prefixAt);
  yield first;
  for (let offset = frameSize; offset < bytes.length; offset += sliceSize) {
    yield bytes.subarray(offset, offset + sliceSize);
  }
}
