import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { readFields } from '../oci/manifest.ts';
import type { Repository } from '../registry/registry.ts';
import { Endpoint, type EndpointLog, type EndpointNumbers, type EndpointSettings } from './notifications/endpoint.ts';
import type { Event, EventRequest } from './notifications/event.ts';
import { type Deed, watched } from './notifications/watched.ts';

export interface NotificationsOptions {
  readonly events: { readonly includereferences: boolean };
  readonly endpoints: readonly EndpointSettings[];
  /** `host:port` or a path: where this server listens. */
  readonly addr: string;
  readonly log: EndpointLog;
}

/** Who asks, and by which address. */
export interface Visit extends EventRequest {
  /** Empty: anybody. */
  readonly user: string;
  /** Before the name of a repository: `http://registry:5000/v2/`. */
  readonly base: string;
}

/** One request, while it is answered. */
export interface Watch {
  /** The repository, which tells what is done in it. */
  readonly repository: Repository;
  /** The request has succeeded: what was done is told to all endpoints. */
  succeeded(visit: Visit): void;
}

export interface Notifications {
  watch(repository: Repository): Watch;
  numbers(): readonly EndpointNumbers[];
  /** Sends what waits. @param patience how long at most, in milliseconds. Default: 5 seconds */
  close(patience?: number): Promise<void>;
}

/** @returns undefined when nobody is to be told anything */
export function createNotifications(options: NotificationsOptions): Notifications | undefined {
  const { events, log } = options;
  const endpoints = options.endpoints.flatMap((settings, place) => {
    const { disabled, url, name = `endpoint-${place}` } = settings;
    return disabled || url === undefined ? [] : [new Endpoint({ ...settings, url: new URL(url), name }, log)];
  });
  if (endpoints.length === 0) return undefined;
  const source = { addr: sourceOf(options.addr), instanceID: randomUUID() };

  function eventOf(repository: string, deed: Deed, { user, base, ...request }: Visit): Event {
    const { action, kind, descriptor, tag, from, content, mirroring } = deed;
    const described = descriptor !== undefined && 'size' in descriptor ? descriptor : undefined;
    return {
      id: randomUUID(),
      timestamp: new Date().toISOString(),
      action,
      target: {
        ...(described && { mediaType: described.mediaType, size: described.size }),
        ...(descriptor && { digest: descriptor.digest }),
        ...(described && { length: described.size }),
        repository,
        ...(from !== undefined && { fromRepository: from }),
        ...(described && { url: `${base}${repository}/${kind}s/${described.digest}` }),
        ...(tag !== undefined && { tag }),
        ...(events.includereferences && content !== undefined && { references: referencesOf(content) }),
      },
      request,
      actor: user === '' ? {} : { name: user },
      source,
      ...(mirroring && { mirror: mirroring }),
    };
  }

  return {
    watch(repository) {
      const deeds: Deed[] = [];
      return {
        repository: watched(repository, (deed) => void deeds.push(deed)),
        succeeded(visit) {
          for (const deed of deeds) {
            const interested = endpoints.filter((endpoint) => endpoint.wants(deed));
            if (interested.length === 0) continue;
            const envelope = Buffer.from(JSON.stringify({ events: [eventOf(repository.name, deed, visit)] }));
            for (const endpoint of interested) endpoint.tell(envelope);
          }
        },
      };
    },
    numbers: () => endpoints.map((endpoint) => endpoint.numbers()),
    async close(patience = 5_000) {
      await Promise.all(endpoints.map((endpoint) => endpoint.close(patience)));
    },
  };
}

/** As distribution has it: the name of the machine, with the port of the registry. */
function sourceOf(addr: string): string {
  const port = /:(\d+)$/.exec(addr)?.[1];
  return port === undefined ? hostname() : `${hostname()}:${port}`;
}

/** Descriptors, as they stand in the manifest. */
function referencesOf(content: Buffer): readonly unknown[] {
  const { config, layers, manifests } = readFields(content) ?? {};
  return [config, layers, manifests].flat().filter((entry) => typeof entry === 'object' && entry !== null);
}
