import http, { type IncomingMessage, type OutgoingHttpHeaders, STATUS_CODES } from 'node:http';
import https from 'node:https';
import { type HeaderValue, textOf } from '../header-value.ts';
import { type Event, envelopeType } from './event.ts';
import { Queue } from './queue.ts';
import type { Deed } from './watched.ts';

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

export interface EndpointLog {
  info(message: string, fields: Record<string, unknown>): void;
  warn(message: string, fields: Record<string, unknown>): void;
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

/** One that is told of events, in its own time. */
export class Endpoint {
  readonly #settings: Omit<EndpointSettings, 'url'> & { readonly name: string; readonly url: URL };
  readonly #headers: OutgoingHttpHeaders;
  readonly #agent: http.Agent;
  readonly #log: EndpointLog;
  readonly #queue: Queue<Buffer>;
  readonly #statuses: Record<string, number> = {};
  #events = 0;
  #successes = 0;
  #failures = 0;
  #errors = 0;

  constructor(settings: Omit<EndpointSettings, 'url'> & { name: string; url: URL }, log: EndpointLog) {
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
    const [first, ...others] = values.map(textOf);
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
