import type { Bucket } from './bucket.ts';
import { S3Reader } from './reader.ts';

/** Bytes of an object, `end` being behind the last one. */
export interface Source {
  readonly key: string;
  readonly start: number;
  readonly end: number;
}

/** In bytes: what has no more is asked for at the same time as those behind it, as it costs a round trip and little else. */
const small = 64 * 1024;

/** Small ones that are asked for at a time. */
const lookAhead = 16;

/** The bytes of all sources, in their order. A chunk is good until the next one is asked for. */
export async function* readPieces(bucket: Bucket, path: string, sources: readonly Source[]): AsyncGenerator<Buffer> {
  const open = async ({ key, start, end }: Source) => {
    const opened = await bucket.open(path, key, { start, end: end - 1 }, undefined);
    return new S3Reader({ bucket, path, key, start, size: end - start, opened, signal: undefined });
  };
  const whole = async (source: Source) => {
    const chunks: Buffer[] = [];
    for await (const chunk of await open(source)) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks);
  };
  for (let next = 0; next < sources.length; ) {
    const batch: Source[] = [];
    for (const source of sources.slice(next, next + lookAhead)) {
      if (source.end - source.start > small) break;
      batch.push(source);
    }
    const large = sources[next];
    if (batch.length > 0) yield* await Promise.all(batch.map(whole));
    else if (large !== undefined) yield* await open(large);
    next += batch.length || 1;
  }
}
