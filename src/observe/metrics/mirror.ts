import { Counter, Gauge, type Registry } from 'prom-client';
import { addCollected, type Sample } from './collected.ts';

/** What a mirror has done since the process began, and how its upstreams are now. */
export interface MirrorNumbers {
  /** Those of the configuration, and no others: their names and addresses become labels. */
  readonly upstreams: readonly UpstreamNumbers[];
  /** Blobs that are on their way. */
  readonly downloads: number;
}

export interface UpstreamNumbers {
  readonly name: string;
  readonly manifest: RequestNumbers;
  readonly blob: RequestNumbers;
  readonly endpoints: readonly {
    readonly url: string;
    /** By kind, of a fixed set. */
    readonly errors: Readonly<Record<string, number>>;
    readonly breaker: { readonly state: (typeof breakerStates)[number] };
    readonly rateLimit: { readonly limit: number | undefined; readonly remaining: number | undefined } | undefined;
  }[];
}

export interface RequestNumbers {
  readonly hits: number;
  readonly misses: number;
  readonly stale: number;
  readonly pulledBytes: number;
  readonly pushedBytes: number;
}

const types = ['manifest', 'blob'] as const;
const breakerStates = ['closed', 'open', 'probing', 'throttled'] as const;

/**
 * Metrics of a mirror, read when they are asked for: distribution's of its proxy under their names, and berth's own, by
 * upstream.
 */
export function addMirrorMetrics(registry: Registry, read: () => MirrorNumbers): void {
  function add(
    Metric: typeof Counter | typeof Gauge,
    about: readonly [name: string, help: string],
    labelNames: string[],
    samples: (numbers: MirrorNumbers) => Sample[],
  ) {
    addCollected(registry, Metric, about, labelNames, () => samples(read()));
  }

  const byType =
    (count: (numbers: RequestNumbers) => number) =>
    ({ upstreams }: MirrorNumbers): Sample[] =>
      types.map((type) => [{ type }, upstreams.reduce((sum, upstream) => sum + count(upstream[type]), 0)]);
  add(
    Counter,
    ['registry_proxy_requests_total', 'Requests that were answered for an upstream.'],
    ['type'],
    byType(({ hits, misses, stale }) => hits + misses + stale),
  );
  add(
    Counter,
    ['registry_proxy_hits_total', 'Those that were answered with what was kept.'],
    ['type'],
    byType(({ hits, stale }) => hits + stale),
  );
  add(
    Counter,
    ['registry_proxy_misses_total', 'Those that were answered with what came from the upstream.'],
    ['type'],
    byType(({ misses }) => misses),
  );
  add(
    Counter,
    ['registry_proxy_pulled_bytes_total', 'Bytes that came from upstreams.'],
    ['type'],
    byType(({ pulledBytes }) => pulledBytes),
  );
  add(
    Counter,
    ['registry_proxy_pushed_bytes_total', 'Bytes that clients were given.'],
    ['type'],
    byType(({ pushedBytes }) => pushedBytes),
  );

  const byUpstream =
    (samplesOf: (numbers: RequestNumbers) => Sample[]) =>
    ({ upstreams }: MirrorNumbers): Sample[] =>
      upstreams.flatMap((upstream) =>
        types.flatMap((type) =>
          samplesOf(upstream[type]).map(
            ([labels, value]): Sample => [{ upstream: upstream.name, type, ...labels }, value],
          ),
        ),
      );
  add(
    Counter,
    ['berth_mirror_requests_total', 'Requests that were answered for an upstream, by outcome: hit, miss or stale.'],
    ['upstream', 'type', 'outcome'],
    byUpstream(({ hits, misses, stale }) => [
      [{ outcome: 'hit' }, hits],
      [{ outcome: 'miss' }, misses],
      [{ outcome: 'stale' }, stale],
    ]),
  );
  add(
    Counter,
    ['berth_mirror_pulled_bytes_total', 'Bytes that came from an upstream.'],
    ['upstream', 'type'],
    byUpstream(({ pulledBytes }) => [[{}, pulledBytes]]),
  );
  add(
    Counter,
    ['berth_mirror_pushed_bytes_total', 'Bytes of an upstream that clients were given.'],
    ['upstream', 'type'],
    byUpstream(({ pushedBytes }) => [[{}, pushedBytes]]),
  );

  const byEndpoint =
    (samplesOf: (numbers: UpstreamNumbers['endpoints'][number]) => Sample[]) =>
    ({ upstreams }: MirrorNumbers): Sample[] =>
      upstreams.flatMap(({ name, endpoints }) =>
        endpoints.flatMap((endpoint) =>
          samplesOf(endpoint).map(
            ([labels, value]): Sample => [{ upstream: name, endpoint: endpoint.url, ...labels }, value],
          ),
        ),
      );
  add(
    Counter,
    ['berth_mirror_errors_total', 'Times that an endpoint of an upstream did not give what was asked for, by reason.'],
    ['upstream', 'endpoint', 'reason'],
    byEndpoint(({ errors }) => Object.entries(errors).map(([reason, count]): Sample => [{ reason }, count])),
  );
  add(
    Gauge,
    [
      'berth_mirror_breaker_state',
      '1 for what the circuit breaker of an endpoint is at: closed, open, probing or throttled.',
    ],
    ['upstream', 'endpoint', 'state'],
    byEndpoint(({ breaker }) => breakerStates.map((state): Sample => [{ state }, state === breaker.state ? 1 : 0])),
  );
  add(
    Gauge,
    ['berth_mirror_rate_limit', 'Requests that an endpoint allows in its window, as it said last.'],
    ['upstream', 'endpoint'],
    byEndpoint(({ rateLimit }) => (rateLimit?.limit === undefined ? [] : [[{}, rateLimit.limit]])),
  );
  add(
    Gauge,
    ['berth_mirror_rate_limit_remaining', 'Requests that an endpoint has left for us, as it said last.'],
    ['upstream', 'endpoint'],
    byEndpoint(({ rateLimit }) => (rateLimit?.remaining === undefined ? [] : [[{}, rateLimit.remaining]])),
  );
  add(
    Gauge,
    ['berth_mirror_downloads_running', 'Blobs that are on their way from an upstream.'],
    [],
    ({ downloads }) => [[{}, downloads]],
  );
}
