import type { Body } from './body.ts';
import type { ResponseHead } from './response-head.ts';

export interface Request {
  /** `https://host:port` */
  readonly origin: string;
  readonly method: 'GET' | 'HEAD';
  /** With its query. */
  readonly path: string;
  /** `host` need not be among them. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Answer extends ResponseHead {
  /** To be read to its end, discarded or destroyed. */
  readonly body: Body;
}

/** @throws TypeError for what would be another request than it seems, or more than one; its values may be secret */
export function bytesOf({ origin, method, path, headers }: Request): Buffer {
  if (!/^[!-~]+$/.test(path)) throw new TypeError('the path of a request has characters that no path has');
  const lines = Object.entries({ host: new URL(origin).host, ...headers }).map(([name, value]) => {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) throw new TypeError('the name of a header is none');
    if (!/^[\t -~\x80-\xff]*$/.test(value)) throw new TypeError(`the header ${name} has characters that no header has`);
    return `${name}: ${value}\r\n`;
  });
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
}
