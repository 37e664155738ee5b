import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { Connections, type ConnectOptions, type Limits } from '../../wire/connections.ts';
import type { Answer, Request } from '../../wire/messages.ts';
import { type AddressGuard, isLoopback } from './address.ts';
import { ProxiedConnections } from './proxied-connections.ts';
import { isProxied, type Proxies } from './proxies.ts';

/** How long a connection waits for its next request, in milliseconds. */
const keepAlive = 15_000;

/** In milliseconds. */
export type Timeouts = Pick<Limits, 'connect' | 'head' | 'idle'>;

export interface HttpRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
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

/** What reaches servers, through a proxy or without. */
interface Client {
  send(request: Request, signal?: AbortSignal): Promise<Answer>;
  close(): void | Promise<void>;
}

/**
 * Connections to an endpoint and to where it sends us, which are used again. There are as many connections as there are
 * requests: who asks for many things at once limits that himself, as nothing here knows how long a body will be read.
 */
export class HttpConnections {
  readonly #host: string;
  /** To the endpoint's own host, which the operator has chosen. */
  readonly #own: Client;
  /** To hosts that the endpoint has chosen. */
  readonly #others: Client;

  constructor({ host, ca, timeouts, guard, proxies = {} }: HttpConnectionsOptions) {
    this.#host = host;
    const tls = ca === undefined ? {} : { secureContext: trusting(ca) };
    const limits: Limits = { ...timeouts, keepAlive };
    const client = (options: ConnectOptions, through: Proxies) =>
      isProxied(through) ? new ProxiedConnections(limits, options, through) : new Connections(limits, options);
    this.#own = client(tls, isLoopback(host) ? {} : proxies);
    // Whom a proxy connects to it decides itself.
    this.#others = client({ ...tls, lookup: guard.lookup }, proxies);
  }

  /**
   * Resolves when the answer begins, whatever its status is; follows nothing.
   *
   * @throws what the connection failed with; the reason of `signal`, which also ends the body
   */
  async send({ url, method, headers }: HttpRequest, signal?: AbortSignal): Promise<Answer> {
    const client = url.hostname === this.#host ? this.#own : this.#others;
    return client.send({ origin: url.origin, method, path: url.pathname + url.search, headers }, signal);
  }

  /** Without waiting for what is on its way. */
  async close(): Promise<void> {
    await Promise.all([this.#own.close(), this.#others.close()]);
  }
}

/** Those that Node brings count on: blobs often come from elsewhere. */
function trusting(ca: string): SecureContext {
  return createSecureContext({ ca: [...rootCertificates, ca] });
}
