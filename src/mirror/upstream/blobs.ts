import type { Digest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Endpoint, EndpointAnswer } from './endpoint.ts';
import { isUpstreamError } from './errors.ts';

export interface BlobRequest {
  readonly repository: RepositoryName;
  readonly digest: Digest;
  /** The first byte that is wanted. */
  readonly start: number;
}

/** A blob that comes from an upstream. Nobody has verified its digest. To be read to its end, or closed. */
export interface UpstreamBlob {
  /** URL of the endpoint. */
  readonly endpoint: string;
  /** Bytes of the whole blob; undefined: the upstream does not say. */
  readonly size: number | undefined;
  /** The first byte of `body`: the one that was wanted, or 0 when the upstream gives all or nothing. */
  readonly start: number;
  /**
   * Chunks in order; a chunk may be used only until the next one is asked for. No more than some hundred kilobytes are read
   * ahead of who reads. Rejects with an UpstreamError: `unreachable` when the connection breaks or is silent for too long, so
   * that the rest may be asked for, `invalid` when there are more or fewer bytes than announced; with the reason of the signal.
   */
  readonly body: AsyncIterable<Buffer>;
  close(): void;
}

/** What of a blob an answer has. */
interface Part {
  readonly start: number;
  /** Of the whole blob. */
  readonly size: number | undefined;
}

/** @throws UpstreamError */
export async function openBlob(endpoint: Endpoint, request: BlobRequest, signal?: AbortSignal): Promise<UpstreamBlob> {
  const { repository, digest, start } = request;
  const path = `blobs/${digest}`;
  const answer = await endpoint.send(
    start === 0
      ? { method: 'GET', repository, path }
      : { method: 'GET', repository, path, headers: { range: `bytes=${start}-` }, expects: [200, 206, 416] },
    signal,
  );
  if (answer.status === 416) {
    answer.body.discard();
    // All of it was there already; otherwise ranges are not understood, or another blob was begun than this.
    const size = Number(
      /^bytes \*\/(\d{1,15})$/.exec(answer.headers['content-range']?.trim() ?? '')?.[1] ?? Number.NaN,
    );
    return size === start
      ? { endpoint: endpoint.url, size, start, body: nothing(), close: () => undefined }
      : openBlob(endpoint, { ...request, start: 0 }, signal);
  }
  let part: Part;
  try {
    part = answer.status === 206 ? rangeOf(answer, start) : { start: 0, size: lengthOf(answer) };
  } catch (error) {
    answer.body.destroy();
    throw error;
  }
  let isClosed = false;
  return {
    endpoint: endpoint.url,
    ...part,
    body: counted(endpoint, answer, part.size === undefined ? undefined : part.size - part.start, () => isClosed),
    close() {
      isClosed = true;
      answer.body.destroy();
    },
  };
}

/**
 * How long a blob is, by HEAD; by GET of its first byte at an endpoint that does not know HEAD, does not say enough, or sends
 * us where only GET is allowed, as signed URLs do.
 *
 * @returns undefined when the upstream has it, but does not say
 * @throws UpstreamError
 */
export async function headBlob(
  endpoint: Endpoint,
  { repository, digest }: Omit<BlobRequest, 'start'>,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const path = `blobs/${digest}`;
  try {
    const answer = await endpoint.send({ method: 'HEAD', repository, path }, signal);
    answer.body.discard();
    const size = lengthOf(answer);
    if (size !== undefined) return size;
  } catch (error) {
    if (!isUpstreamError(error) || ![400, 403, 405, 501].includes(error.status ?? 0)) throw error;
  }
  const answer = await endpoint.send(
    { method: 'GET', repository, path, headers: { range: 'bytes=0-0' }, expects: [200, 206, 416] },
    signal,
  );
  answer.body.destroy();
  if (answer.status === 200) return lengthOf(answer);
  const whole = /^bytes (?:\d{1,15}-\d{1,15}|\*)\/(\d{1,15})$/.exec(answer.headers['content-range']?.trim() ?? '')?.[1];
  return whole === undefined ? undefined : Number(whole);
}

function lengthOf({ headers }: EndpointAnswer): number | undefined {
  const length = headers['content-length'];
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** @throws UpstreamError when it is not just what was asked for: all from `start` on (RFC 9110, 14.4) */
function rangeOf(answer: EndpointAnswer, start: number): Part {
  const header = answer.headers['content-range'] ?? '';
  const [, first, last, whole] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header.trim()) ?? [];
  const size = Number(whole);
  const length = lengthOf(answer) ?? size - start;
  if (Number(first) !== start || Number(last) !== size - 1 || length !== size - start) {
    throw answer.error('invalid', `asked for bytes from ${start} on, but got ${header.slice(0, 60) || 'others'}`);
  }
  return { start, size };
}

/** @param isClosed whether nobody wants the rest */
async function* counted(
  endpoint: Endpoint,
  answer: EndpointAnswer,
  expected: number | undefined,
  isClosed: () => boolean,
): AsyncGenerator<Buffer> {
  const chunks = answer.body[Symbol.asyncIterator]();
  let count = 0;
  try {
    for (;;) {
      const { value, done } = await chunks.next().catch((cause: unknown) => {
        throw answer.broken(cause);
      });
      if (done || isClosed()) break;
      count += value.length;
      if (expected !== undefined && count > expected) throw answer.error('invalid', `more than ${expected} bytes`);
      yield value;
    }
    if (expected !== undefined && count < expected && !isClosed()) {
      throw answer.error('invalid', `${count} bytes in place of ${expected}`);
    }
  } finally {
    answer.body.destroy();
    endpoint.received('blob', count);
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}
