import { randomUUID } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { Context } from 'hono';
import type { ClientCertificate } from '../auth/access.ts';
import { type NodeBindings, requestBody } from './body.ts';
import type { ClientAddress } from './client-address.ts';
import { clientCertificate } from './client-certificate.ts';
import { originOf } from './origin.ts';
import type { RequestBody } from './reply.ts';

export interface AppEnv {
  Bindings: NodeBindings;
}

/** How addresses of our own are written. */
export interface Addressing {
  /** `http.prefix`, without a trailing slash: where the registry lies under its host. */
  readonly prefix: string;
  /** `http.host`: scheme and host under which clients reach us; undefined: as each request says. */
  readonly host: string | undefined;
  /** `http.relativeurls`: Locations begin with the path. */
  readonly relativeUrls: boolean;
  /** From where a request came, by `http.trustedproxies`. */
  readonly clientAddress: ClientAddress;
}

const idGrammar = /^[A-Za-z0-9._-]{1,64}$/;

/** A request as the routes see it. What costs something is found out when it is asked for. */
export class ApiRequest {
  /** From `X-Request-Id` when that is sane, else a new one. */
  readonly id: string;
  readonly method: string;
  /** Percent-encoded, without the prefix and the query. */
  readonly path: string;
  readonly body: RequestBody;
  /** For the access log and metrics: who the caller proved to be, what was answered, and bytes of the bodies. */
  user = '';
  status = 0;
  bytesReceived = 0;
  bytesSent = 0;
  clientGone = false;
  readonly #search: string;
  readonly #context: Context<AppEnv>;
  readonly #addressing: Addressing;
  #query: URLSearchParams | undefined;
  #gone: AbortController | undefined;

  constructor(context: Context<AppEnv>, addressing: Addressing) {
    const { incoming } = context.env ?? {};
    const target = incoming?.url?.startsWith('/') ? incoming.url : pathAndQuery(context.req.url);
    const mark = target.indexOf('?');
    const path = mark < 0 ? target : target.slice(0, mark);
    const given = context.req.header('x-request-id');
    this.id = given !== undefined && idGrammar.test(given) ? given : randomUUID();
    this.method = context.req.method;
    this.path = path.startsWith(addressing.prefix) ? path.slice(addressing.prefix.length) : path;
    this.#search = mark < 0 ? '' : target.slice(mark + 1);
    this.body = requestBody(context, this);
    this.#context = context;
    this.#addressing = addressing;
  }

  header(name: string): string | undefined {
    return this.#context.req.header(name);
  }

  /** Aborts when the client goes away before it has its answer. For work whose length the client does not set. */
  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      const gone = new AbortController();
      const { outgoing } = this.#context.env ?? {};
      outgoing?.once('close', () => {
        if (!outgoing.writableEnded) gone.abort();
      });
      this.#gone = gone;
    }
    return this.#gone.signal;
  }

  /** Whether work was given up for {@link signal}. */
  get hasLeft(): boolean {
    return this.#gone?.signal.aborted === true;
  }

  get authorization(): string | undefined {
    return this.header('authorization');
  }

  /** Of the client; empty when it has none, as on a socket in the file system. */
  get remoteAddress(): string {
    const peer = this.#context.env?.incoming?.socket?.remoteAddress ?? '';
    return this.#addressing.clientAddress(peer, this.header('x-forwarded-for'));
  }

  /** What the client proved with TLS. */
  get certificate(): ClientCertificate | undefined {
    return clientCertificate(this.#context.env?.incoming?.socket);
  }

  get query(): URLSearchParams {
    this.#query ??= new URLSearchParams(this.#search);
    return this.#query;
  }

  /** The only value of a query parameter; undefined when it is absent or empty. */
  parameter(name: string): string | undefined {
    return this.#search === '' ? undefined : this.query.get(name) || undefined;
  }

  /** Scheme and host under which the client reached us. */
  get origin(): string {
    const { incoming } = this.#context.env ?? {};
    const socket = incoming?.socket as TLSSocket | undefined;
    // HTTP/2 has no Host.
    const authority = incoming?.headers[':authority'];
    const header = (name: string) =>
      this.header(name) ?? (name === 'host' && typeof authority === 'string' ? authority : undefined);
    return originOf({ header, encrypted: socket?.encrypted === true }, this.#addressing.host);
  }

  /** An address of ours for `Location`. @param path as it follows the prefix, e.g. `/v2/…` */
  location(path: string): string {
    return this.#addressing.relativeUrls ? this.link(path) : `${this.origin}${this.link(path)}`;
  }

  /** An address of ours for `Link`: relative, as clients refuse another scheme or host there. */
  link(path: string): string {
    return `${this.#addressing.prefix}${path}`;
  }
}

function pathAndQuery(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}
