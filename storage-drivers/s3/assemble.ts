import { CopyObjectCommand } from '@aws-sdk/client-s3';
import type { Bucket } from './bucket.ts';
import type { Chain, Chunk } from './chain.ts';
import { limits } from './client.ts';
import { genuine } from './errors.ts';
import { memory } from './memory.ts';
import { copySource, Multipart } from './multipart.ts';
import { minPartSize } from './options.ts';
import { readPieces, type Source } from './pieces.ts';
import { Segments } from './segments.ts';

/** One part of the object to be: copied by the server, or gathered here because its pieces are too small for that. */
export type Part = { readonly copy: Source } | GatheredPart;

export interface GatheredPart {
  readonly gather: readonly Source[];
  /** Followed by what is in memory. Only the last part is. */
  readonly tail: boolean;
}

export interface AssembleParts {
  readonly bucket: Bucket;
  readonly path: string;
  /** Key of the object to be. */
  readonly to: string;
  /** Key of the path that the chain belongs to. */
  readonly owner: string;
  readonly chain: Pick<Chain, 'chunks'>;
  /** What comes behind the chain. Stays the caller's. */
  readonly tail: Segments;
  readonly copy: CopyLimits;
}

export interface CopyLimits {
  readonly partSize: number;
  readonly threshold: number;
  readonly concurrency: number;
}

/**
 * Makes one object of what is kept, on the server as far as that can be; what is kept stays as it is.
 *
 * @returns the key of a record that is of no use any more
 */
export async function assemble(parts: AssembleParts): Promise<string | undefined> {
  const { bucket, path, to, owner, chain, tail, copy } = parts;
  const [first, ...others] = chain.chunks;
  if (first === undefined) {
    await bucket.putSegments(path, to, tail);
    return undefined;
  }
  if (others.length === 0 && tail.size === 0 && first.size <= copy.threshold) {
    await copyObject(parts, first.key);
    return undefined;
  }
  const plan = planParts(chain.chunks, tail.size, copy.partSize);
  const [only] = plan;
  if (plan.length === 1 && only !== undefined && 'gather' in only) {
    await gathered(parts, only, (content) => bucket.putSegments(path, to, content));
    return undefined;
  }

  const multipart = await Multipart.create(bucket, path, to, owner);
  try {
    await run(plan, copy.concurrency, async (part, number) => {
      if ('copy' in part) return multipart.copy(number, part.copy.key, part.copy.start, part.copy.end);
      return gathered(parts, part, (content) => multipart.put(number, content));
    });
    await multipart.complete();
  } catch (error) {
    await multipart.abort().then(
      () => bucket.delete(path, [multipart.record]),
      () => undefined,
    );
    throw error;
  }
  return multipart.record;
}

/**
 * Cuts what is kept into parts: each has at least {@link minPartSize} but the last, and what is copied stays within one
 * object. Pieces that are too small are gathered, together with as much of the next one as makes a part.
 */
export function planParts(chunks: readonly Pick<Chunk, 'key' | 'size'>[], tailSize: number, copySize: number): Part[] {
  const parts: Part[] = [];
  let small: Source[] = [];
  let smallSize = 0;
  for (const { key, size } of chunks) {
    let position = 0;
    if (smallSize > 0) {
      position = Math.min(size, minPartSize - smallSize);
      small.push({ key, start: 0, end: position });
      smallSize += position;
      if (smallSize < minPartSize) continue;
      parts.push({ gather: small, tail: false });
      [small, smallSize] = [[], 0];
    }
    if (size - position < minPartSize) {
      if (size > position) [small, smallSize] = [[{ key, start: position, end: size }], size - position];
      continue;
    }
    // The last one takes the remainder, so that it is not too small.
    for (let left = Math.floor((size - position) / copySize); left > 1; left -= 1, position += copySize) {
      parts.push({ copy: { key, start: position, end: position + copySize } });
    }
    parts.push({ copy: { key, start: position, end: size } });
  }
  if (smallSize > 0 || tailSize > 0) parts.push({ gather: small, tail: true });
  return parts;
}

async function copyObject({ bucket, path, to }: AssembleParts, from: string): Promise<void> {
  await bucket.api.call(
    path,
    async (http) => {
      const command = new CopyObjectCommand({
        Bucket: bucket.name,
        Key: to,
        CopySource: copySource(bucket.name, from),
        // What was said of the source (its writer, its note) is not true of the object.
        MetadataDirective: 'REPLACE',
        ...bucket.attributes,
      });
      const { CopyObjectResult = {} } = await bucket.api.client.send(command, http);
      return genuine(CopyObjectResult, 'ETag');
    },
    { timeout: limits.work },
  );
}

function gathered(parts: AssembleParts, part: GatheredPart, send: (content: Segments) => Promise<boolean>) {
  const { bucket, path, tail } = parts;
  return memory.exempt(async () => {
    const content = await gather(bucket, path, part.gather, part.tail ? tail : undefined);
    let clean = false;
    try {
      clean = await send(content);
    } finally {
      content.release(clean);
    }
  });
}

/** Reads these bytes and those of the tail, which stays the caller's, into memory. */
export async function gather(
  bucket: Bucket,
  path: string,
  sources: readonly Source[],
  tail: Segments | undefined,
): Promise<Segments> {
  const content = new Segments();
  const add = (chunk: Uint8Array) => void content.append(chunk, Number.POSITIVE_INFINITY);
  try {
    for await (const chunk of readPieces(bucket, path, sources)) add(chunk);
    for (const chunk of tail?.pieces() ?? []) add(chunk);
    return content;
  } catch (error) {
    content.release(true);
    throw error;
  }
}

/** Runs all parts, several copies and one gathering at a time; stops at the first fault. */
async function run(
  plan: readonly Part[],
  concurrency: number,
  task: (part: Part, number: number) => Promise<void>,
): Promise<void> {
  const numbered = plan.map((part, index) => ({ part, number: index + 1 }));
  const copies = numbered.filter(({ part }) => 'copy' in part);
  const gathered = numbered.filter(({ part }) => 'gather' in part);
  let failed = false;
  const lane = async (queue: typeof numbered) => {
    for (let next = queue.shift(); next !== undefined && !failed; next = queue.shift()) {
      try {
        await task(next.part, next.number);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = Array.from({ length: Math.min(concurrency, copies.length) }, () => lane(copies));
  const results = await Promise.allSettled([...lanes, lane(gathered)]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
