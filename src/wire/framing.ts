import { MalformedAnswerError, maxHeadSize, type ResponseHead } from './response-head.ts';

/** Tells where a body ends (RFC 9112, 6.3). */
export interface Framing {
  /** Bytes of the body; undefined: that is known at its end. */
  readonly size: number | undefined;
  /** Whether all of it has come, and whether more than that: what would be taken for the beginning of the next answer. */
  readonly state: 'open' | 'complete' | 'exceeded';
  /** Whether it is the end of the connection that is the end of the body. */
  readonly untilClose: boolean;
  /**
   * Takes what came, and moves what of it is content to its beginning.
   *
   * @returns how many bytes are content
   * @throws MalformedAnswerError
   */
  take(bytes: Buffer): number;
}

/** @throws MalformedAnswerError when the head says two things at once, or one that nobody knows */
export function framingOf({ status, headers }: ResponseHead, method: string): Framing {
  const { 'content-length': length, 'transfer-encoding': coding } = headers;
  const isLength = length === undefined || /^\d{1,15}$/.test(length);
  const isCoding = coding === undefined || (coding.toLowerCase() === 'chunked' && length === undefined);
  if (!isLength || !isCoding) throw new MalformedAnswerError('the length of the body is unclear');
  if (method === 'HEAD' || status === 204 || status === 304) return new Sized(0);
  if (coding !== undefined) return new Chunked();
  return length === undefined ? new UntilClose() : new Sized(Number(length));
}

class Sized implements Framing {
  readonly size: number;
  readonly untilClose = false;
  state: Framing['state'];
  #missing: number;

  constructor(size: number) {
    this.size = size;
    this.#missing = size;
    this.state = size === 0 ? 'complete' : 'open';
  }

  take(bytes: Buffer): number {
    const content = Math.min(bytes.length, this.#missing);
    this.#missing -= content;
    if (content < bytes.length) this.state = 'exceeded';
    else if (this.#missing === 0) this.state = 'complete';
    return content;
  }
}

class UntilClose implements Framing {
  readonly size = undefined;
  readonly untilClose = true;
  readonly state = 'open';

  take(bytes: Buffer): number {
    return bytes.length;
  }
}

/** The chunked coding (RFC 9112, 7.1). What its extensions and trailers say is dropped. */
class Chunked implements Framing {
  readonly size = undefined;
  readonly untilClose = false;
  state: Framing['state'] = 'open';
  /** What comes next: a line with the size of a chunk, its data, the end of its line, or a line of the trailers. */
  #next: 'size' | 'data' | 'end' | 'trailer' = 'size';
  /** Bytes of the chunk that have not come yet. */
  #missing = 0;
  /** What has come of a line. */
  #line = '';
  #trailerSize = 0;

  take(bytes: Buffer): number {
    let content = 0;
    let at = 0;
    while (at < bytes.length && this.state === 'open') {
      if (this.#next === 'data') {
        const end = Math.min(at + this.#missing, bytes.length);
        if (content < at) bytes.copyWithin(content, at, end);
        this.#missing -= end - at;
        content += end - at;
        at = end;
        if (this.#missing === 0) this.#next = 'end';
      } else {
        at = this.#takeLine(bytes, at);
      }
    }
    if (at < bytes.length) this.state = 'exceeded';
    return content;
  }

  /** @returns where the line ends, or what has come of it */
  #takeLine(bytes: Buffer, start: number): number {
    const found = bytes.indexOf('\n', start);
    const end = found < 0 ? bytes.length : found + 1;
    if (this.#line.length + this.#trailerSize + end - start > maxHeadSize) {
      throw new MalformedAnswerError(`a line of the chunked body has more than ${maxHeadSize} bytes`);
    }
    this.#line += bytes.toString('latin1', start, end);
    if (found < 0) return end;
    const line = this.#line;
    this.#line = '';
    if (this.#next === 'size') {
      const digits = /^([0-9A-Fa-f]{1,13})(?:[ \t]*;[^\0\r\n]*)?\r\n$/.exec(line)?.[1];
      if (digits === undefined) throw new MalformedAnswerError('the size of a chunk of the body is none');
      this.#missing = Number.parseInt(digits, 16);
      this.#next = this.#missing === 0 ? 'trailer' : 'data';
    } else if (this.#next === 'end') {
      if (line !== '\r\n') throw new MalformedAnswerError('a chunk of the body is not as long as it says');
      this.#next = 'size';
    } else if (line === '\r\n') {
      this.state = 'complete';
    } else {
      if (!line.endsWith('\r\n')) throw new MalformedAnswerError('a trailer of the body is none');
      this.#trailerSize += line.length;
    }
    return end;
  }
}
