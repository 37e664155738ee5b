/** The beginning of an HTTP/1.1 answer (RFC 9112). */
export interface ResponseHead {
  readonly status: number;
  /** By their names in small letters; what comes several times is joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What came is no answer in HTTP/1.1, or not one that says clearly where it ends. */
export class MalformedAnswerError extends Error {
  override readonly name = 'MalformedAnswerError';
}

/** Bytes of a head at most, as in Node. */
export const maxHeadSize = 16 * 1024;

/**
 * Reads a head, if the bytes hold all of it.
 *
 * @returns the head, where its body begins, and whether the connection stays by the version of HTTP that it names;
 *   undefined while more is to come
 * @throws MalformedAnswerError
 */
export function parseHead(bytes: Buffer): { head: ResponseHead; end: number; persistent: boolean } | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) {
    if (bytes.length >= maxHeadSize) throw new MalformedAnswerError(`the head has more than ${maxHeadSize} bytes`);
    return undefined;
  }
  const [statusLine = '', ...lines] = bytes.toString('utf8', 0, end).split('\r\n');
  const [, minor, status] = /^HTTP\/1\.([01]) (\d{3})(?: |$)/.exec(statusLine) ?? [];
  if (status === undefined) throw new MalformedAnswerError('the answer does not begin as one in HTTP/1.1');
  const headers: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const [, name, given] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)$/.exec(line) ?? [];
    if (name === undefined || given === undefined) throw new MalformedAnswerError('a header is none');
    const key = name.toLowerCase();
    const value = given.trim();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return { head: { status: Number(status), headers }, end: end + 4, persistent: minor === '1' };
}

/**
 * How long the server keeps the connection for another request, in milliseconds: a second less than it says, as it may take
 * that long until a request is there.
 */
export function keptFor({ headers }: ResponseHead): number {
  if (/\bclose\b/i.test(headers.connection ?? '')) return 0;
  const seconds = /\btimeout=(\d{1,6})\b/i.exec(headers['keep-alive'] ?? '')?.[1];
  return seconds === undefined ? Number.POSITIVE_INFINITY : (Number(seconds) - 1) * 1000;
}
