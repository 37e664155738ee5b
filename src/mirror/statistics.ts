import type { UpstreamStatus } from './upstream/client.ts';
import type { UpstreamErrorKind } from './upstream/errors.ts';
import type { UpstreamEvent } from './upstream/events.ts';
import type { MirrorEvent, Sent } from './upstream.ts';

/** What became of requests for manifests, or for blobs. */
export interface Counts {
  hits: number;
  misses: number;
  stale: number;
  /** Bytes that came from the upstream. */
  pulledBytes: number;
  /** Bytes that clients were given, see {@link Sent}. */
  pushedBytes: number;
}

/** That something is missing is an answer, and no error. */
type EndpointErrorKind = Exclude<UpstreamErrorKind, 'missing'>;

/** How often an endpoint did not give what was asked for; also when nothing was sent, as it should be left alone. */
export type EndpointErrors = Record<EndpointErrorKind, number>;

/** One upstream, from when the process began until now. */
export interface UpstreamReport {
  /** e.g. `docker.io` */
  readonly name: string;
  readonly manifest: Readonly<Counts>;
  readonly blob: Readonly<Counts>;
  readonly endpoints: readonly (UpstreamStatus['endpoints'][number] & { readonly errors: Readonly<EndpointErrors> })[];
}

interface UpstreamCounts {
  readonly manifest: Counts;
  readonly blob: Counts;
  readonly errors: Map<string, EndpointErrors>;
}

/** Counts what the mirror and the clients of its upstreams tell. */
export class Statistics {
  readonly #upstreams = new Map<string, UpstreamCounts>();

  /** A request was answered. Lists are not counted, as nothing of them is kept. */
  answered({ upstream, kind, outcome }: MirrorEvent): void {
    if (kind === 'tags' || kind === 'referrers') return;
    const counts = this.#of(upstream)[kind];
    if (outcome === 'hit') counts.hits += 1;
    else if (outcome === 'miss') counts.misses += 1;
    else counts.stale += 1;
  }

  sent({ upstream, kind, bytes }: Sent): void {
    this.#of(upstream)[kind].pushedBytes += bytes;
  }

  /** Something happened between an upstream and us. @param upstream its name */
  happened(upstream: string, event: UpstreamEvent): void {
    if (event.type === 'received') this.#of(upstream)[event.kind].pulledBytes += event.bytes;
    if (event.type !== 'failure' || event.error.kind === 'missing') return;
    const { errors } = this.#of(upstream);
    const ofEndpoint = errors.get(event.endpoint) ?? noErrors();
    ofEndpoint[event.error.kind] += 1;
    errors.set(event.endpoint, ofEndpoint);
  }

  /** What is to be said of an upstream. @param status as its client gives it now */
  report({ name, endpoints }: UpstreamStatus): UpstreamReport {
    const { manifest, blob, errors } = this.#of(name);
    return {
      name,
      manifest: { ...manifest },
      blob: { ...blob },
      endpoints: endpoints.map((endpoint) => ({
        ...endpoint,
        errors: { ...(errors.get(endpoint.url) ?? noErrors()) },
      })),
    };
  }

  #of(upstream: string): UpstreamCounts {
    const known = this.#upstreams.get(upstream);
    if (known !== undefined) return known;
    const counts = { manifest: noCounts(), blob: noCounts(), errors: new Map<string, EndpointErrors>() };
    this.#upstreams.set(upstream, counts);
    return counts;
  }
}

export function noCounts(): Counts {
  return { hits: 0, misses: 0, stale: 0, pulledBytes: 0, pushedBytes: 0 };
}

export function noErrors(): EndpointErrors {
  return { unreachable: 0, throttled: 0, denied: 0, invalid: 0 };
}
