/** What an upstream says of how much may be asked of it. Docker Hub counts pulls of manifests. */
export interface RateLimit {
  /** Requests in a window. */
  readonly limit: number | undefined;
  /** Requests left. */
  readonly remaining: number | undefined;
  /** The window, in seconds. */
  readonly window: number | undefined;
  /** When it was said, in milliseconds since 1970. */
  readonly at: number;
}

/**
 * Reads `ratelimit-limit` and `ratelimit-remaining`, as Docker Hub writes them (`100;w=21600`) and as the drafts of the IETF
 * do (`100, 100;w=21600`).
 *
 * @returns undefined when neither is there
 */
export function readRateLimit(headers: Readonly<Record<string, string>>, at: number): RateLimit | undefined {
  const limit = numberOf(headers['ratelimit-limit']);
  const remaining = numberOf(headers['ratelimit-remaining']);
  if (limit === undefined && remaining === undefined) return undefined;
  const said = `${headers['ratelimit-limit'] ?? ''};${headers['ratelimit-remaining'] ?? ''}`;
  return { limit, remaining, window: numberOf(/;\s*w=(\d+)/i.exec(said)?.[1]), at };
}

function numberOf(text: string | undefined): number | undefined {
  const digits = /^\s*(\d{1,15})(?![\d.])/.exec(text ?? '')?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/**
 * Reads `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
 *
 * @returns milliseconds since 1970; undefined when there is none, or nonsense
 */
export function readRetryAfter(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\s*(\d{1,10})(?:\.\d*)?\s*$/.exec(header)?.[1];
  if (seconds !== undefined) return now + Number(seconds) * 1000;
  // Date.parse takes nearly everything for a date.
  const date = /^\s*(?:mon|tue|wed|thu|fri|sat|sun)/i.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(date) ? undefined : date;
}
