import type { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { Body } from '../../src/wire/body.ts';
import { NoConnectionError } from '../../src/wire/connections.ts';

export interface HttpRequest {
  /** `https://host:port` */
  readonly origin: string;
  /** With its query. */
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | Readable | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  /** By their names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  /** To be read to its end, or destroyed. */
  readonly body: Body;
}

export interface HttpLimits {
  /** In milliseconds. */
  readonly connect: number;
  /** Silence while a body goes over a connection, in milliseconds. */
  readonly idle: number;
  /** Connections to one server; what needs more waits. */
  readonly connections: number;
}

/**
 * Connections to S3 servers, which are used again. Below what undici calls `request`, as streams of Node would cost more
 * than everything else that is done to a byte between the server and a client.
 */
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

  /** Resolves when the answer begins, whatever its status is; `signal` also ends the body. */
  send(request: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    const { origin, path, headers, body } = request;
    const method = request.method as Dispatcher.HttpMethod;
    // Whoever waits for an answer says for how long; here it is about bodies that get no further.
    const streams = body !== undefined && typeof body !== 'string';
    const options = { headersTimeout: streams ? this.#idle : 0, bodyTimeout: this.#idle };
    return new Promise((resolve, reject) => {
      let answer: Body | undefined;
      let controller: Dispatcher.DispatchController | undefined;
      const abort = () => {
        if (answer !== undefined) return answer.destroy(signal?.reason);
        const reason =
          controller === undefined ? new NoConnectionError('aborted while it waited') : new Error('aborted');
        controller?.abort(reason);
        // One that waits for a connection is ended when it gets one.
        reject(reason);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      const settle = () => signal?.removeEventListener('abort', abort);
      this.#agent.dispatch(
        { origin, path, method, headers: { ...headers }, body: body ?? null, ...options },
        {
          onRequestStart(started) {
            controller = started;
            if (signal?.aborted) started.abort(new Error('aborted'));
          },
          onResponseStart(started, status, given) {
            if (status < 200) return;
            const headers = flattened(given);
            const { 'content-length': length } = headers;
            answer = new Body(started, length === undefined ? undefined : Number(length));
            resolve({ status, headers, body: answer });
          },
          onResponseData(started, chunk) {
            if (answer?.push(chunk) === false) started.pause();
          },
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
  close(): void {
    this.#agent.destroy().catch(() => undefined);
  }
}

function flattened(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) flat[name] = String(value);
  return flat;
}
