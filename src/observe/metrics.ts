import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { addMirrorMetrics, type MirrorNumbers } from './metrics/mirror.ts';
import { addNotificationMetrics } from './metrics/notifications.ts';
import type { EndpointNumbers } from './notifications/endpoint.ts';

/** What the server counts and measures. Nothing of prom-client shows; has the shape that the other layers ask for. */
export interface Metrics {
  /**
   * A request has come in.
   *
   * @param handler one of a fixed set: it becomes a label
   * @param method as the client wrote it; what is no common one is counted as `unknown`
   * @returns what is told how it ended
   */
  begin(handler: string, method: string): (end: RequestEnd) => void;
  /** A login failed. @param reason one of a fixed set */
  loginFailed(reason: string): void;
  /** A login had to wait because others had failed before it. */
  loginSlowed(): void;
  /** There is a mirror. @param read asked whenever metrics are */
  mirrors(read: () => MirrorNumbers): void;
  /** Somebody is told of events. @param read asked whenever metrics are */
  notifications(read: () => readonly EndpointNumbers[]): void;
  /** Everything, as Prometheus reads it. */
  exposition(): Promise<Exposition>;
}

export interface RequestEnd {
  readonly status: number;
  /** Of the bodies. */
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

/** Distribution's, in seconds. */
const durations = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60];

/** Distribution's, in bytes: 1 KiB to 2 GiB. */
const sizes = Array.from({ length: 22 }, (_, step) => 1024 * 2 ** step);

/** Clients may send any method. These are the ones that distribution tells apart. */
const methods = new Map(
  ['get', 'put', 'head', 'post', 'delete', 'connect', 'options', 'notify', 'trace', 'patch'].map((method) => [
    method.toUpperCase(),
    method,
  ]),
);

/** Shown as 0 before the first one, so that an increase can be seen from there. */
const loginFaults = ['password', 'access_token', 'id_token', 'login'];

/** Metrics of this process, from now on: distribution's of HTTP under their names, berth's own, and those of Node. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Counter({
    name: 'registry_http_requests_total',
    help: 'Requests that were answered, by handler, status and method.',
    labelNames: ['handler', 'code', 'method'],
    registers,
  });
  const duration = new Histogram({
    name: 'registry_http_request_duration_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['handler', 'method'],
    buckets: durations,
    registers,
  });
  const inFlight = new Gauge({
    name: 'registry_http_in_flight_requests',
    help: 'Requests that are being answered.',
    labelNames: ['handler'],
    registers,
  });
  const requestSize = new Histogram({
    name: 'registry_http_request_size_bytes',
    help: 'Bytes of the bodies of requests, as far as they were read.',
    labelNames: ['handler'],
    buckets: sizes,
    registers,
  });
  const responseSize = new Histogram({
    name: 'registry_http_response_size_bytes',
    help: 'Bytes of the bodies of answers, as far as they were sent.',
    labelNames: ['handler'],
    buckets: sizes,
    registers,
  });
  const failures = new Counter({
    name: 'berth_auth_failures_total',
    help: 'Logins that failed, by what was wrong.',
    labelNames: ['reason'],
    registers,
  });
  const slowed = new Counter({
    name: 'berth_auth_slowed_total',
    help: 'Logins that had to wait because others had failed before them.',
    registers,
  });
  for (const reason of loginFaults) failures.inc({ reason }, 0);

  return {
    begin(handler, anyMethod) {
      const start = performance.now();
      const method = methods.get(anyMethod) ?? 'unknown';
      inFlight.inc({ handler });
      return ({ status, bytesReceived, bytesSent }) => {
        inFlight.dec({ handler });
        requests.inc({ handler, code: String(status), method });
        duration.observe({ handler, method }, (performance.now() - start) / 1000);
        requestSize.observe({ handler }, bytesReceived);
        responseSize.observe({ handler }, bytesSent);
      };
    },
    loginFailed: (reason) => failures.inc({ reason: reason.replaceAll(' ', '_') }),
    loginSlowed: () => slowed.inc(),
    mirrors: (read) => addMirrorMetrics(registry, read),
    notifications: (read) => addNotificationMetrics(registry, read),
    exposition: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}
