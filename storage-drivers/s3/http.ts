import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { dispatch } from '../../src/wire/dispatch.ts';
import type { Answer } from '../../src/wire/messages.ts';

export interface HttpRequest {
  /** `https://host:port` */
  readonly origin: string;
  /** With its query. */
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | Readable | undefined;
}

export interface HttpLimits {
  /** In milliseconds. */
  readonly connect: number;
  /** Silence while a body goes over a connection, in milliseconds. */
  readonly idle: number;
  /** Connections to one server; what needs more waits. */
  readonly connections: number;
}

/** Connections to S3 servers, which are used again. */
export class HttpConnections {
  readonly #agent: Agent;
  readonly #idle: number;

  constructor({ connect, idle, connections }: HttpLimits, tls: { skipverify: boolean }) {
    this.#idle = idle;
    this.#agent = new Agent({
      connections,
      pipelining: 1,
      keepAliveTimeout: 15_000,
      connect: { timeout: connect, rejectUnauthorized: !tls.skipverify },
    });
  }

  /** As {@link dispatch}. */
  send(request: HttpRequest, signal?: AbortSignal): Promise<Answer> {
    const { origin, path, headers, body } = request;
    const method = request.method as Dispatcher.HttpMethod;
    // Whoever waits for an answer says for how long; here it is about bodies that get no further.
    const streams = body !== undefined && typeof body !== 'string';
    const options = { headersTimeout: streams ? this.#idle : 0, bodyTimeout: this.#idle };
    return dispatch(
      this.#agent,
      { origin, path, method, headers: { ...headers }, body: body ?? null, ...options },
      signal,
    );
  }

  /** Without waiting for what is on its way. */
  close(): void {
    this.#agent.destroy().catch(() => undefined);
  }
}
