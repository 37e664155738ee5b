import type { HeaderValue } from './header-value.ts';
import { fileCheck, httpCheck, tcpCheck } from './health/checks.ts';
import { type Check, type Clock, systemClock, watch } from './health/watch.ts';
import { redactText } from './log/redact.ts';

/** How often a check is made, in milliseconds, and how often in a row it must fail to count; 0 is 1. */
export interface Pace {
  interval: number;
  threshold: number;
}

/** `health` of the configuration, as distribution has it. All times in milliseconds. */
export interface HealthChecks {
  storagedriver?: Readonly<Pace & { enabled: boolean }>;
  /** Unhealthy while the file exists: a switch to take the server out of service. */
  file?: readonly Readonly<Pace & { file: string }>[];
  /** A URL that must answer to HEAD with the status. */
  http?: readonly Readonly<
    Pace & {
      uri: string;
      headers: Readonly<Record<string, readonly HeaderValue[]>>;
      statuscode: number;
      timeout: number;
    }
  >[];
  /** `host:port` that must take a connection. */
  tcp?: readonly Readonly<Pace & { addr: string; timeout: number }>[];
}

export interface HealthOptions extends HealthChecks {
  /** Resolves when the storage can be used, else rejects with the reason. Made only when `storagedriver` is enabled. */
  checkStorage(signal: AbortSignal): Promise<void>;
  log: {
    info(message: string, fields: Record<string, unknown>): void;
    warn(message: string, fields: Record<string, unknown>): void;
  };
  /** Default: the system's. */
  clock?: Clock;
}

export interface HealthStatus {
  healthy: boolean;
  /** The checks that fail, by name, each with the reason; without the secrets of their URLs. */
  failing: Readonly<Record<string, string>>;
}

export interface Health {
  /** Makes every check at once and then again after its interval. */
  start(): void;
  stop(): void;
  /** What the last checks said. Healthy until one says otherwise. */
  status(): HealthStatus;
  /** The same as a question: what fails, or undefined when nothing does. */
  failing(): Readonly<Record<string, string>> | undefined;
}

/** A check of the storage or of a file that takes longer has failed, in milliseconds. */
const localTimeout = 10_000;

export function createHealth(options: HealthOptions): Health {
  const { storagedriver, file = [], http = [], tcp = [], checkStorage, log, clock = systemClock } = options;
  const checks: Check[] = [
    ...file.map((check) => ({ ...check, name: check.file, timeout: localTimeout, run: fileCheck(check.file) })),
    ...http.map((check) => ({ ...check, name: check.uri, run: httpCheck(check) })),
    ...tcp.map((check) => ({ ...check, name: check.addr, run: tcpCheck(check.addr) })),
  ];
  if (storagedriver?.enabled === true) {
    checks.unshift({ ...storagedriver, name: 'storagedriver', timeout: localTimeout, run: checkStorage });
  }

  const faults = new Map<string, string>();
  const report = (name: string, fault: string | undefined) => {
    if (fault === undefined) {
      if (faults.delete(name)) log.info('a health check succeeds again', { check: name });
    } else {
      if (!faults.has(name)) log.warn('a health check fails', { check: name, reason: fault });
      faults.set(name, fault);
    }
  };
  let watches: { stop(): void }[] = [];

  const failing = () => {
    if (faults.size === 0) return undefined;
    return Object.fromEntries([...faults].map(([name, fault]) => [redactText(name), redactText(fault)]));
  };
  return {
    start() {
      watches = checks.map((check) => watch(check, report, clock));
    },
    stop() {
      for (const each of watches) each.stop();
      watches = [];
    },
    status: () => ({ healthy: faults.size === 0, failing: failing() ?? {} }),
    failing,
  };
}
