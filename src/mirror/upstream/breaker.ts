/**
 * - `closed`: requests go out
 * - `open`: nothing is sent for a while
 * - `probing`: one request is out to see whether the endpoint is back
 * - `throttled`: the endpoint asked for a pause
 */
export const breakerStates = ['closed', 'open', 'probing', 'throttled'] as const;

/** What a circuit breaker is at, for status pages. */
export interface BreakerState {
  readonly state: (typeof breakerStates)[number];
  /** In a row. */
  readonly failures: number;
  /** When `open` and `throttled` end, in milliseconds since 1970. */
  readonly until: number | undefined;
}

export interface BreakerOptions {
  /** Failures in a row that open it. */
  readonly failures?: number;
  /** The first pause, in milliseconds; it doubles with each probe that fails. */
  readonly firstPause?: number;
  readonly longestPause?: number;
  readonly now?: () => number;
  /** Told after each change of `state`. */
  readonly onChange?: (state: BreakerState) => void;
}

/** No `Retry-After` keeps us away longer than this, in milliseconds: it may be nonsense. */
const longestThrottle = 3_600_000;

/**
 * The pause after a 429 that does not say how long, in milliseconds; it doubles with each further one. Short at first, as
 * some registries count by the second.
 */
const firstThrottle = 1_000;

/** The permission for one request; exactly one of its methods is called, when the outcome is known. */
export interface Pass {
  /** It answered, whatever it said. */
  succeeded(): void;
  /** It did not answer, or could not. */
  failed(): void;
  /** It wants to be left alone. @returns until when that will be, in milliseconds since 1970 */
  throttled(retryAt: number | undefined): number;
  /** Nothing was found out, as nobody waits for the answer any more. */
  left(): void;
}

export interface Refusal {
  readonly kind: 'unreachable' | 'throttled';
  /** In milliseconds since 1970. */
  readonly retryAt: number;
}

/** Keeps requests from an endpoint, or from one of its repositories, that does not answer, or that asked to be left alone. */
export class CircuitBreaker {
  readonly #threshold: number;
  readonly #firstPause: number;
  readonly #longestPause: number;
  readonly #now: () => number;
  readonly #onChange: ((state: BreakerState) => void) | undefined;
  #failures = 0;
  /** Pauses in a row. */
  #pauses = 0;
  #openUntil: number | undefined;
  #probe: Pass | undefined;
  #throttles = 0;
  #throttledUntil: number | undefined;
  #told: BreakerState['state'] = 'closed';

  constructor({
    failures = 5,
    firstPause = 1_000,
    longestPause = 60_000,
    now = Date.now,
    onChange,
  }: BreakerOptions = {}) {
    this.#threshold = failures;
    this.#firstPause = firstPause;
    this.#longestPause = longestPause;
    this.#now = now;
    this.#onChange = onChange;
  }

  get state(): BreakerState {
    const failures = this.#failures;
    if (this.#isThrottled()) return { state: 'throttled', failures, until: this.#throttledUntil };
    if (this.#probe !== undefined) return { state: 'probing', failures, until: undefined };
    if (this.#openUntil !== undefined) return { state: 'open', failures, until: this.#openUntil };
    return { state: 'closed', failures, until: undefined };
  }

  /** @returns the permission for one request, or why and until when there is none */
  enter(): Pass | Refusal {
    if (this.#isThrottled()) return { kind: 'throttled', retryAt: this.#throttledUntil ?? this.#now() };
    if (this.#openUntil === undefined) return this.#pass();
    if (this.#isAhead(this.#openUntil, this.#longestPause)) return { kind: 'unreachable', retryAt: this.#openUntil };
    // The others do not wait for the probe: what they can have instead, they should have at once.
    if (this.#probe !== undefined) return { kind: 'unreachable', retryAt: this.#now() + this.#firstPause };
    this.#probe = this.#pass();
    this.#tell();
    return this.#probe;
  }

  #isThrottled(): boolean {
    return this.#throttledUntil !== undefined && this.#isAhead(this.#throttledUntil, longestThrottle);
  }

  /** Whether it is still to come. What is farther away than any pause is from before the clock was set back. */
  #isAhead(time: number, longest: number): boolean {
    const left = time - this.#now();
    return left > 0 && left <= longest;
  }

  #pass(): Pass {
    const pass: Pass = {
      succeeded: () => {
        // What was sent before it opened says nothing of now.
        if (!this.#isMine(pass)) return;
        this.#close();
        if (!this.#isThrottled()) this.#throttles = 0;
        this.#tell();
      },
      failed: () => {
        if (!this.#isMine(pass)) return;
        this.#failures += 1;
        if (this.#probe === pass || this.#failures >= this.#threshold) this.#open();
        this.#tell();
      },
      throttled: (retryAt) => {
        const now = this.#now();
        // It answers, so it is there.
        if (this.#isMine(pass)) this.#close();
        // Of many that are refused at once, the first counts.
        if (!this.#isThrottled()) this.#throttles += 1;
        const asked = retryAt ?? now + firstThrottle * 2 ** Math.min(this.#throttles - 1, 20);
        const until = Math.min(Math.max(asked, now + firstThrottle), now + longestThrottle);
        this.#throttledUntil = this.#isThrottled() ? Math.max(until, this.#throttledUntil ?? 0) : until;
        this.#tell();
        return this.#throttledUntil;
      },
      left: () => {
        if (this.#probe !== pass) return;
        this.#probe = undefined;
        this.#tell();
      },
    };
    return pass;
  }

  #isMine(pass: Pass): boolean {
    return this.#openUntil === undefined || this.#probe === pass;
  }

  #open(): void {
    this.#probe = undefined;
    this.#openUntil = this.#now() + Math.min(this.#firstPause * 2 ** Math.min(this.#pauses, 20), this.#longestPause);
    this.#pauses += 1;
  }

  #close(): void {
    this.#probe = undefined;
    this.#openUntil = undefined;
    this.#failures = 0;
    this.#pauses = 0;
  }

  #tell(): void {
    const state = this.state;
    if (state.state === this.#told) return;
    this.#told = state.state;
    this.#onChange?.(state);
  }
}
