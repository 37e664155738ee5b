/**
 * What the HTTP layer needs of metrics. `observe/metrics.ts` has those that the server uses; http/ may not import it.
 */
export interface RequestMetrics {
  /**
   * A request has come in.
   *
   * @param method as the client wrote it, whatever that is
   * @returns what is told how it ended
   */
  begin(handler: HandlerName, method: string): (end: RequestEnd) => void;
}

export interface RequestEnd {
  readonly status: number;
  /** Of the bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/**
 * Under what requests are counted: distribution's names of its routes, then ours for what it does not have. `other` is
 * whatever is no part of the registry's API, and what no route has.
 */
export type HandlerName =
  | 'base'
  | 'catalog'
  | 'manifest'
  | 'tags'
  | 'blob'
  | 'blob_upload'
  | 'blob_upload_chunk'
  | 'referrers'
  | 'search'
  | 'token'
  | 'other';
