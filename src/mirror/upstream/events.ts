import type { BreakerState } from './breaker.ts';
import type { UpstreamError } from './errors.ts';

/** What happens between an upstream and us, for log and metrics. */
export type UpstreamEvent =
  /** An HTTP answer began, of a registry, a token server or where they sent us. */
  | {
      readonly type: 'answer';
      /** URL of the endpoint. */
      readonly endpoint: string;
      /** Method and URL without query. */
      readonly request: string;
      readonly status: number;
      /** From the request until the answer began. */
      readonly milliseconds: number;
    }
  /** An endpoint did not give what was asked for; the next one is asked, if there is one. */
  | { readonly type: 'failure'; readonly endpoint: string; readonly error: UpstreamError }
  /** Content came: a manifest, or as much of a blob as was wanted of it. */
  | {
      readonly type: 'received';
      readonly endpoint: string;
      readonly kind: 'manifest' | 'blob';
      readonly bytes: number;
    }
  /** A circuit breaker changed its state. */
  | { readonly type: 'breaker'; readonly endpoint: string; readonly state: BreakerState };
