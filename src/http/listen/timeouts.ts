/** All in milliseconds. */
export interface Timeouts {
  /** From the first byte of a request, or the start of a connection, to the end of its header. Default 30 s. */
  header: number;
  /** How long a body may stand still in either direction because of the client. Default 5 min. */
  body: number;
  /** How long a connection may wait for its next request. Longer than clients keep theirs. Default 120 s. */
  keepalive: number;
}

export const defaultTimeouts: Timeouts = { header: 30_000, body: 300_000, keepalive: 120_000 };
