/**
 * What the mirror must tell apart:
 * - `unreachable`: no answer, or none that says anything of the content (network, TLS, time-out, 5xx, circuit breaker)
 * - `throttled`: 429; see `retryAt`
 * - `denied`: 401 or 403 after everything was tried that the credentials allow
 * - `missing`: the upstream says that it has no such thing
 * - `invalid`: an answer that cannot be one (wrong digest, wrong length, not JSON, too long, a foreign realm, …)
 */
export type UpstreamErrorKind = 'unreachable' | 'throttled' | 'denied' | 'missing' | 'invalid';

/** Where something went wrong. */
export interface UpstreamRequestInfo {
  /** Name of the upstream, e.g. `docker.io`. */
  readonly upstream: string;
  /** URL of the endpoint, e.g. `https://registry-1.docker.io`. */
  readonly endpoint: string;
  /** Method and URL without query, as that may hold a signature. */
  readonly request: string;
}

export interface UpstreamErrorOptions extends ErrorOptions {
  /** In a few words, for people; without secrets. */
  readonly reason: string;
  readonly status?: number | undefined;
  /** What the upstream itself said, from {@link readFault}. */
  readonly fault?: UpstreamFault | undefined;
  /** When to try again, in milliseconds since 1970. */
  readonly retryAt?: number | undefined;
}

/** An error in the upstream's own words: short, and of printable characters only. */
export interface UpstreamFault {
  readonly code?: string;
  readonly message?: string;
}

/** A request to an upstream that did not bring what was asked for. Never holds a password or a token. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly kind: UpstreamErrorKind;
  readonly upstream: string;
  readonly endpoint: string;
  readonly request: string;
  /** In a few words, for people; without secrets. */
  readonly reason: string;
  /** Of the answer, if there was one. */
  readonly status: number | undefined;
  readonly fault: UpstreamFault;
  /** When to try again, in milliseconds since 1970; of `throttled` always, and when the circuit breaker is open. */
  readonly retryAt: number | undefined;
  /** What the endpoints said that were tried before this one. */
  readonly previous: UpstreamError[] = [];

  constructor(
    kind: UpstreamErrorKind,
    { upstream, endpoint, request }: UpstreamRequestInfo,
    options: UpstreamErrorOptions,
  ) {
    const { reason, status, fault = {}, retryAt, cause } = options;
    const said = [fault.code, fault.message].filter((text) => text !== undefined).join(': ');
    super(`${upstream}: ${request}: ${reason}${said === '' ? '' : ` (${said})`}`, cause === undefined ? {} : { cause });
    this.reason = reason;
    this.kind = kind;
    this.upstream = upstream;
    this.endpoint = endpoint;
    this.request = request;
    this.status = status;
    this.fault = fault;
    this.retryAt = retryAt;
    withoutStack(this);
  }

  /** The same, with another time to try again. */
  until(retryAt: number): UpstreamError {
    const { kind, reason, status, fault, cause } = this;
    return new UpstreamError(kind, this, { reason, status, fault, retryAt, cause });
  }
}

/** What tells of somebody else's failure points to no place in our code. Stacks would fill the log, and memory: many are remembered. */
export function withoutStack<E extends Error>(error: E): E {
  error.stack = String(error);
  return error;
}

export function isUpstreamError(error: unknown, kind?: UpstreamErrorKind): error is UpstreamError {
  return error instanceof UpstreamError && (kind === undefined || error.kind === kind);
}
