import type { Body } from '../registry/registry.ts';

/** Bytes that are opened only when they are to be sent: never for HEAD. */
export interface StreamBody {
  /** Undefined: not known before the end; sent in chunks. */
  readonly size: number | undefined;
  open(): Promise<AsyncIterable<Uint8Array> & { close?(): Promise<void> }>;
}

/** What a handler answers. One function writes it: `send` in `body.ts`. */
export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Absent: empty. */
  readonly body?: Uint8Array | StreamBody;
}

/** A body of a request: read once, or not at all. */
export interface RequestBody extends Body {
  /** From `Content-Length`; undefined when it is not known before the end. */
  readonly length: number | undefined;
}

export function json(status: number, value: unknown, headers?: Reply['headers']): Reply {
  return {
    status,
    headers: { 'Content-Type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(value)),
  };
}
