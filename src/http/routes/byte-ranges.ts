import { randomUUID } from 'node:crypto';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Part } from '../../oci/range.ts';
import type { Blob } from '../../registry/registry.ts';
import type { Reply } from '../reply.ts';

/** Parts that are no further apart are read at once, with what is between them: a read more costs no less. In bytes. */
const maxGap = 64 * 1024;

/** Reads of one answer: this many, or one for so many bytes that were asked for if that makes more. */
const minReads = 16;
const bytesPerRead = 256 * 1024;

/** What is read at once, and the parts that are in it. */
interface Read extends Part {
  readonly parts: Part[];
}

/** As few reads as the order of the parts allows; undefined: too many for what they would bring. */
function readsOf(parts: readonly Part[]): Read[] | undefined {
  const reads: Read[] = [];
  let bytes = 0;
  for (const part of parts) {
    bytes += part.end - part.start + 1;
    const last = reads.at(-1);
    if (last !== undefined && part.start > last.end && part.start - last.end - 1 <= maxGap) {
      last.parts.push(part);
      last.end = part.end;
    } else reads.push({ ...part, parts: [part] });
  }
  return reads.length <= Math.max(minReads, bytes / bytesPerRead) ? reads : undefined;
}

/**
 * Several parts, each with a head of its own (RFC 9110, 14.6).
 *
 * @returns undefined when the whole blob had better be sent, as it may be (14.2): parts that are many, small and far from
 * each other would cost the storage a request each
 */
export function multipart(
  blob: Blob,
  headers: Reply['headers'],
  parts: readonly Part[],
  signal?: AbortSignal,
): Reply | undefined {
  const reads = readsOf(parts);
  if (reads === undefined) return undefined;
  const boundary = randomUUID();
  const heads = new Map(parts.map((part, index) => [part, headOf(part, blob.descriptor, boundary, index === 0)]));
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1');
  let size = tail.length;
  for (const [{ start, end }, head] of heads) size += head.length + end - start + 1;

  const [first, ...others] = reads;
  if (first === undefined) return undefined;

  async function open() {
    // Before the answer begins: it may not be there.
    let reader = await blob.open(first, signal);
    async function* bytes(): AsyncGenerator<Uint8Array> {
      if (first !== undefined) yield* cut(reader, first, heads);
      for (const read of others) {
        reader = await blob.open(read, signal);
        yield* cut(reader, read, heads);
      }
      yield tail;
    }
    return { [Symbol.asyncIterator]: bytes, close: () => reader.close() };
  }

  return {
    status: 206,
    headers: { ...headers, 'Content-Type': `multipart/byteranges; boundary=${boundary}` },
    body: { size, open },
  };
}

export function contentRange({ start, end }: Part, size: number): string {
  return `bytes ${start}-${end}/${size}`;
}

function headOf(part: Part, { mediaType, size }: Descriptor, boundary: string, first: boolean): Buffer {
  const lines = [`--${boundary}`, `Content-Type: ${mediaType}`, `Content-Range: ${contentRange(part, size)}`];
  return Buffer.from(`${first ? '' : '\r\n'}${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

/** The parts of a read, each behind its head, without what is between them. */
async function* cut(
  chunks: AsyncIterable<Uint8Array>,
  { start, parts }: Read,
  heads: ReadonlyMap<Part, Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let position = start;
  let index = 0;
  for await (const chunk of chunks) {
    const end = position + chunk.length;
    for (let part = parts[index]; part !== undefined && part.start < end; part = parts[index]) {
      if (part.start >= position) yield heads.get(part) ?? new Uint8Array();
      const piece = chunk.subarray(Math.max(0, part.start - position), part.end + 1 - position);
      if (piece.length > 0) yield piece;
      if (part.end >= end) break;
      index += 1;
    }
    position = end;
  }
}
