import type { UpstreamEvent } from '../mirror/upstream/events.ts';

/** What an upstream needs that its section does not say. */
export interface UpstreamParts {
  readonly userAgent: string;
  /** Told of what happens between an upstream, by its name, and us. */
  readonly happened: (upstream: string, event: UpstreamEvent) => void;
}
