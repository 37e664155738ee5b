import type { Mirroring } from '../../registry/registry.ts';

/** Distribution's (notifications/event.go, v3). */
export const envelopeType = 'application/vnd.docker.distribution.events.v2+json';

/** Something that was done in a repository, as it is sent. The names are distribution's, but for `mirror`. */
export interface Event {
  /** A UUID: who is told twice of the same can tell. */
  readonly id: string;
  /** RFC 3339. */
  readonly timestamp: string;
  readonly action: 'pull' | 'push' | 'mount' | 'delete';
  readonly target: EventTarget;
  readonly request: EventRequest;
  /** Without a name: anybody. */
  readonly actor: { readonly name?: string };
  /** Which server, and which run of it. */
  readonly source: { readonly addr: string; readonly instanceID: string };
  /** How a mirror came by what was pulled. berth's own. */
  readonly mirror?: Mirroring;
}

/** A manifest or blob; of a deletion, its digest or a tag. */
export interface EventTarget {
  readonly mediaType?: string;
  /** Bytes. */
  readonly size?: number;
  readonly digest?: string;
  /** The same as `size`. */
  readonly length?: number;
  readonly repository: string;
  /** Of a mount whose source the client has named. */
  readonly fromRepository?: string;
  readonly url?: string;
  readonly tag?: string;
  /** What a manifest refers to, with `notifications.events.includereferences`: descriptors. */
  readonly references?: readonly unknown[];
}

export interface EventRequest {
  readonly id: string;
  /** Of the client, without a port. */
  readonly addr: string;
  /** As the client called this server. */
  readonly host: string;
  readonly method: string;
  readonly useragent: string;
}
