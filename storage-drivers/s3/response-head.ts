/** The beginning of an HTTP/1.1 answer (RFC 9112). */
export interface ResponseHead {
  readonly status: number;
  /** By their names in small letters; what comes several times is joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What came is no answer in HTTP, or not one that may be trusted with a length. */
export class MalformedAnswerError extends Error {
  override readonly name = 'MalformedAnswerError';
}

/** Bytes of a head at most, as in Node. */
export const maxHeadSize = 16 * 1024;

/**
 * Reads a head, if the bytes hold all of it.
 *
 * @returns the head and where its body begins; undefined while more is to come
 * @throws MalformedAnswerError
 */
export function parseHead(bytes: Buffer): { head: ResponseHead; end: number } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) {
    if (bytes.length >= maxHeadSize) throw new MalformedAnswerError(`the head has more than ${maxHeadSize} bytes`);
    return undefined;
  }
  const [statusLine = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = /^HTTP\/1\.1 (\d{3})(?: |$)/.exec(statusLine)?.[1];
  if (status === undefined) throw new MalformedAnswerError('the answer does not begin as one in HTTP/1.1');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [name = ''] = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+(?=:)/.exec(line) ?? [];
    if (name === '') throw new MalformedAnswerError('a header is none');
    const key = name.toLowerCase();
    const value = line.slice(name.length + 1).trim();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return { head: { status: Number(status), headers }, end: end + 4 };
}

/**
 * How many bytes of body follow.
 *
 * @returns undefined when the head does not say, or the body is coded in some way
 * @throws MalformedAnswerError when it says two things at once
 */
export function bodySize({ headers }: ResponseHead): number | undefined {
  const { 'content-length': length, 'transfer-encoding': coding } = headers;
  if (length === undefined) return undefined;
  if (coding !== undefined || !/^\d{1,15}$/.test(length))
    throw new MalformedAnswerError('the length of the body is unclear');
  return Number(length);
}
