import { randomUUID } from 'node:crypto';
import http, { type IncomingMessage, type OutgoingHttpHeaders, STATUS_CODES } from 'node:http';
import https from 'node:https';
import { hostname } from 'node:os';
import { readFields } from '../oci/manifest.ts';
import type { Repository } from '../registry/registry.ts';
import { type Event, type EventRequest, envelopeType } from './notifications/event.ts';
import { Queue } from './notifications/queue.ts';
import { type Deed, watched } from './notifications/watched.ts';

/** A text, or what gives one away only when it is asked to. */
type HeaderValue = string | { reveal(): string };

/** One of `notifications.endpoints` of the configuration. Times in milliseconds. */
export interface EndpointSettings {
  readonly name?: string | undefined;
  readonly disabled: boolean;
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, readonly HeaderValue[]>>;
  readonly timeout: number;
  readonly threshold: number;
  readonly backoff: number;
  readonly ignoredmediatypes: readonly string[];
  readonly ignore: { readonly mediatypes: readonly string[]; readonly actions: readonly Event['action'][] };
}

export interface NotificationsOptions {
  readonly events: { readonly includereferences: boolean };
  readonly endpoints: readonly EndpointSettings[];
  /** `host:port` or a path: where this server listens. */
  readonly addr: string;
  readonly log: {
    info(message: string, fields: Record<string, unknown>): void;
    warn(message: string, fields: Record<string, unknown>): void;
  };
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

/** What became of the events of an endpoint, since the process began. */
export interface EndpointNumbers {
  readonly name: string;
  /** Events that it was to be told. */
  readonly events: number;
  readonly successes: number;
  /** Attempts that were answered with something else than 2xx and 3xx. */
  readonly failures: number;
  /** Attempts that were not answered. */
  readonly errors: number;
  readonly dropped: number;
  readonly pending: number;
  /** By what it answered: `200 OK`. */
  readonly statuses: Readonly<Record<string, number>>;
}

export interface Notifications {
  watch(repository: Repository): Watch;
  numbers(): readonly EndpointNumbers[];
  /** Sends what waits. @param patience how long at most, in milliseconds. Default: 5 seconds */
  close(patience?: number): Promise<void>;
}

/** Events of an endpoint that may wait; most have less than 1 KB. */
const maxPending = 10_000;

/** Bytes of these. An event has what the client calls itself, and what a manifest refers to: megabytes, if somebody wants that. */
const maxPendingBytes = 32 * 1024 * 1024;

/** What Node's timers can wait for at most, in milliseconds; with more they do not wait at all. */
const longestTimer = 2 ** 31 - 1;

/** How long a connection is kept for the next event, in milliseconds: less than most servers keep it. */
const idle = 4_000;

/** Bytes of an answer that are read, so that the connection can be used again. */
const maxAnswer = 64 * 1024;

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

/** One that is told of events, in its own time. */
class Endpoint {
  readonly #settings: Omit<EndpointSettings, 'url'> & { readonly name: string; readonly url: URL };
  readonly #headers: OutgoingHttpHeaders;
  readonly #agent: http.Agent;
  readonly #log: NotificationsOptions['log'];
  readonly #queue: Queue<Buffer>;
  readonly #statuses: Record<string, number> = {};
  #events = 0;
  #successes = 0;
  #failures = 0;
  #errors = 0;

  constructor(settings: Omit<EndpointSettings, 'url'> & { name: string; url: URL }, log: NotificationsOptions['log']) {
    const { name, threshold, backoff } = settings;
    this.#settings = settings;
    this.#headers = headersOf(settings.headers);
    this.#agent = new (settings.url.protocol === 'https:' ? https : http).Agent({ keepAlive: true, timeout: idle });
    this.#log = log;
    this.#queue = new Queue({
      threshold,
      backoff: Math.min(backoff, longestTimer),
      max: maxPending,
      maxSize: maxPendingBytes,
      sizeOf: (envelope) => envelope.length,
      deliver: (envelope, signal) => this.#send(envelope, signal),
      onChange(failures, error) {
        if (error === undefined) log.info('an endpoint of notifications takes events again', { name, failures });
        else log.warn('an endpoint of notifications does not take an event, and is asked again', { name, error });
      },
      onFull: () =>
        log.warn('an endpoint of notifications misses events: too many wait', { name, maxPending, maxPendingBytes }),
    });
  }

  wants({ action, descriptor }: Deed): boolean {
    const { ignore, ignoredmediatypes } = this.#settings;
    const mediaType = descriptor !== undefined && 'mediaType' in descriptor ? descriptor.mediaType : '';
    return !(
      ignore.actions.includes(action) ||
      ignore.mediatypes.includes(mediaType) ||
      ignoredmediatypes.includes(mediaType)
    );
  }

  tell(envelope: Buffer): void {
    this.#events += 1;
    this.#queue.add(envelope);
  }

  numbers(): EndpointNumbers {
    const { pending, dropped } = this.#queue;
    return {
      name: this.#settings.name,
      events: this.#events,
      successes: this.#successes,
      failures: this.#failures,
      errors: this.#errors,
      dropped,
      pending,
      statuses: { ...this.#statuses },
    };
  }

  async close(patience: number): Promise<void> {
    const lost = await this.#queue.close(patience);
    this.#agent.destroy();
    if (lost > 0) this.#log.warn('an endpoint of notifications misses events', { name: this.#settings.name, lost });
  }

  /** @throws Error unless it was taken */
  async #send(envelope: Buffer, stopping: AbortSignal): Promise<void> {
    const { timeout } = this.#settings;
    const ended = new AbortController();
    // AbortSignal.any would leave something at `stopping` for ever, with each event.
    const stop = () => ended.abort(stopping.reason);
    const late = () => ended.abort(new Error(`does not answer within ${timeout} ms`));
    stopping.addEventListener('abort', stop);
    const timer = setTimeout(late, Math.min(timeout, longestTimer));
    try {
      await this.#post(envelope, ended.signal);
    } finally {
      clearTimeout(timer);
      stopping.removeEventListener('abort', stop);
    }
  }

  /** Not with `fetch`, which takes three times the CPU and refuses some ports. */
  async #post(body: Buffer, signal: AbortSignal): Promise<void> {
    const { url } = this.#settings;
    let response: IncomingMessage;
    try {
      response = await new Promise((resolve, reject) => {
        const post = url.protocol === 'https:' ? https.request : http.request;
        const headers = { ...this.#headers, 'Content-Length': body.length };
        post(url, { method: 'POST', agent: this.#agent, headers, signal }, resolve).on('error', reject).end(body);
      });
    } catch (error) {
      this.#errors += 1;
      throw signal.aborted ? signal.reason : error;
    }
    // The status says all: what comes behind it may break off, or not end.
    await skim(response).catch(() => undefined);
    const { statusCode: status = 0 } = response;
    const code = `${status} ${STATUS_CODES[status] ?? ''}`.trim();
    this.#statuses[code] = (this.#statuses[code] ?? 0) + 1;
    // Distribution takes a redirect for a yes, too. It is not followed: nobody else is to get the headers.
    if (status < 200 || status >= 400) {
      this.#failures += 1;
      throw new Error(`answers with ${code}`);
    }
    this.#successes += 1;
  }
}

/** Names in lower case. What is configured goes before what is our own. */
function headersOf(configured: EndpointSettings['headers']): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { 'content-type': envelopeType, 'user-agent': 'berth' };
  for (const [name, values] of Object.entries(configured)) {
    const [first, ...others] = values.map((value) => (typeof value === 'string' ? value : value.reveal()));
    // Node takes no list for Host.
    if (first !== undefined) headers[name.toLowerCase()] = others.length === 0 ? first : [first, ...others];
  }
  return headers;
}

async function skim(response: IncomingMessage): Promise<void> {
  let length = 0;
  for await (const chunk of response) {
    length += (chunk as Buffer).length;
    if (length > maxAnswer) return;
  }
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
