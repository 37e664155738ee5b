export interface Check {
  name: string;
  /** Resolves when all is well, else rejects with the reason. Should give up when the signal says so. */
  run(signal: AbortSignal): Promise<void>;
  /** From the end of one check to the next, in milliseconds. */
  interval: number;
  /** After this many milliseconds without an outcome the check has failed. */
  timeout: number;
  /** How many checks in a row must fail before that is reported; 0 is 1. */
  threshold: number;
}

export interface Clock {
  /** Runs `action` after that many milliseconds, unless what it returns is called before. */
  after(milliseconds: number, action: () => void): () => void;
}

/** Does not keep the process alive. */
export const systemClock: Clock = {
  after(milliseconds, action) {
    const timer = setTimeout(action, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};

/** Makes a check again and again and reports each outcome that counts: undefined, or why it failed. */
export function watch(
  check: Check,
  report: (name: string, fault: string | undefined) => void,
  clock: Clock,
): { stop(): void } {
  const { name, interval, threshold } = check;
  let failures = 0;
  let stopped = false;
  let cancel = () => {};

  const settle = (fault: string | undefined) => {
    if (stopped) return;
    failures = fault === undefined ? 0 : failures + 1;
    if (fault === undefined || failures >= threshold) report(name, fault);
    cancel = clock.after(interval, round);
  };

  const round = () => {
    const attempt = new AbortController();
    let settled = false;
    const once = (fault: string | undefined) => {
      if (settled) return;
      settled = true;
      cancelTimeout();
      settle(fault);
    };
    const cancelTimeout = clock.after(check.timeout, () => {
      once(`no answer within ${check.timeout} ms`);
      attempt.abort();
    });
    cancel = () => {
      cancelTimeout();
      attempt.abort();
    };
    check.run(attempt.signal).then(
      () => once(undefined),
      (error: unknown) => once(reasonOf(error)),
    );
  };

  round();
  return {
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** `fetch failed` says nothing; what caused it does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? `${error.message}: ${cause.message}` : error.message;
}
