import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import type { Dispatcher } from 'undici';
import { type AddressGuard, isLoopback } from './address.ts';
import { AnswerBody } from './answer-body.ts';
import { createAgent, type Proxies } from './proxies.ts';

/** In milliseconds. */
export interface Timeouts {
  /** For a connection with its TLS. */
  readonly connect: number;
  /** From a request until its answer begins. */
  readonly header: number;
  /** Silence while a body comes. */
  readonly idle: number;
}

export interface HttpRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
}

export interface HttpAnswer {
  readonly status: number;
  /** By their names in small letters; lines of the same name are joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
  /** To be read to its end, discarded or destroyed. */
  readonly body: AnswerBody;
}

export interface HttpConnectionsOptions {
  /** Host of the endpoint, as in its URL. */
  readonly host: string;
  /** Certificates in PEM that are trusted beside the usual ones. */
  readonly ca: string | undefined;
  readonly timeouts: Timeouts;
  readonly guard: AddressGuard;
  /** Default: none. */
  readonly proxies?: Proxies | undefined;
}

/**
 * Connections to an endpoint and to where it sends us, which are used again. Below what undici calls `request`, as streams of
 * Node would cost more than everything else that is done to a byte. There are as many connections as there are
 * requests: who asks for many things at once limits that himself, as nothing here knows how long a body will be read.
 */
export class HttpConnections {
  readonly #host: string;
  readonly #timeouts: Timeouts;
  /** To the endpoint's own host, which the operator has chosen. */
  readonly #own: Dispatcher;
  /** To hosts that the endpoint has chosen. */
  readonly #others: Dispatcher;

  constructor({ host, ca, timeouts, guard, proxies }: HttpConnectionsOptions) {
    this.#host = host;
    this.#timeouts = timeouts;
    const connect = { timeout: timeouts.connect, ...(ca !== undefined && { secureContext: trusting(ca) }) };
    this.#own = createAgent(connect, isLoopback(host) ? {} : proxies);
    // Whom a proxy connects to it decides itself.
    this.#others = createAgent({ ...connect, lookup: guard.lookup }, proxies);
  }

  /**
   * Resolves when the answer begins, whatever its status is; follows nothing.
   *
   * @throws what the connection failed with; the reason of `signal`, which also ends the body
   */
  send({ url, method, headers }: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    const agent = url.hostname === this.#host ? this.#own : this.#others;
    const options = { headersTimeout: this.#timeouts.header, bodyTimeout: this.#timeouts.idle };
    return new Promise((resolve, reject) => {
      let answer: AnswerBody | undefined;
      let controller: Dispatcher.DispatchController | undefined;
      const abort = () => {
        const reason: Error = signal?.reason;
        if (answer !== undefined) return answer.destroy(reason);
        controller?.abort(reason);
        // One that waits for a connection is ended when it gets one.
        reject(reason);
      };
      const settle = () => signal?.removeEventListener('abort', abort);
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      agent.dispatch(
        { origin: url.origin, path: url.pathname + url.search, method, headers: { ...headers }, ...options },
        {
          onRequestStart(started) {
            controller = started;
            if (signal?.aborted) started.abort(signal.reason);
          },
          onResponseStart(started, status, given) {
            if (status < 200) return;
            answer = new AnswerBody({
              pause: () => started.pause(),
              resume: () => started.resume(),
              abort: (reason) => {
                settle();
                started.abort(reason);
              },
            });
            resolve({ status, headers: flattened(given), body: answer });
          },
          onResponseData: (_, chunk) => answer?.push(chunk),
          onResponseEnd() {
            settle();
            answer?.end();
          },
          onResponseError(_, error) {
            settle();
            if (answer === undefined) reject(error);
            else answer.end(error);
          },
        },
      );
    });
  }

  /** Without waiting for what is on its way. */
  async close(): Promise<void> {
    await Promise.all([this.#own.destroy(), this.#others.destroy()]);
  }
}

/** The usual certificates count on: blobs often come from elsewhere. */
function trusting(ca: string): SecureContext {
  return createSecureContext({ ca: [...rootCertificates, ca] });
}

function flattened(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) flat[name.toLowerCase()] = String(value);
  return flat;
}
