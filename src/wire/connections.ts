import type { LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { Connection } from './connection.ts';
import { type Answer, bytesOf, type Request } from './messages.ts';

/** Times are in milliseconds. */
export interface Limits {
  /** For a connection, with its TLS. */
  readonly connect: number;
  /** From a request, or from its connection if that is new, until its answer begins. */
  readonly head: number;
  /** Silence while a body comes; as long as its reader has no room for more, nobody has to say anything. */
  readonly idle: number;
  /** For how long a connection waits for its next request at most: not as long as servers keep theirs. */
  readonly keepAlive: number;
  /** How many connections are busy at most; who needs one more waits. Default: as many as there are requests */
  readonly connections?: number;
}

export interface ConnectOptions {
  readonly secureContext?: SecureContext;
  /** Default: true */
  readonly rejectUnauthorized?: boolean;
  /** Not asked for addresses. */
  readonly lookup?: LookupFunction;
}

/** A request was given up before it had a connection. */
export class NoConnectionError extends Error {
  override readonly name = 'NoConnectionError';
}

/**
 * Connections for GET and HEAD in HTTP/1.1, which are used again. Bodies go from the kernel to where they are sent on from,
 * which costs less than half of what a general client does.
 */
export class Connections {
  readonly #limits: Limits;
  readonly #connectOptions: ConnectOptions;
  /** Those that are busy. */
  readonly #busy = new Set<Connection>();
  /** Those that have nothing to do, the one that had something last at the end. */
  readonly #idle: Connection[] = [];
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(limits: Limits, options: ConnectOptions = {}) {
    this.#limits = limits;
    this.#connectOptions = options;
  }

  /**
   * Resolves when the answer begins, whatever its status is; follows nothing.
   *
   * @throws TypeError when the request is none; NoConnectionError when `signal` ended the wait for a connection, else its
   *   reason, which also ends the body as long as it comes; LateError, ClosedError, MalformedAnswerError; errors of the system and of TLS
   */
  async send(request: Request, signal?: AbortSignal): Promise<Answer> {
    signal?.throwIfAborted();
    const bytes = bytesOf(request);
    const { connections = Number.POSITIVE_INFINITY } = this.#limits;
    while (this.#busy.size >= connections) await this.#turn(signal);
    if (this.#closed) throw closed();
    const index = this.#idle.findLastIndex(({ origin }) => origin === request.origin);
    const [connection = this.#connect(request.origin)] = index < 0 ? [] : this.#idle.splice(index, 1);
    this.#busy.add(connection);
    return connection.send(request.method, bytes, signal);
  }

  /** Without waiting for what is on its way. Who waits for a connection gets none. */
  close(): void {
    this.#closed = true;
    for (const connection of [...this.#busy, ...this.#idle]) connection.destroy(closed());
    for (const go of this.#waiting.splice(0)) go();
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const stop = () => {
        const index = this.#waiting.indexOf(go);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(new NoConnectionError('aborted while it waited'));
      };
      if (signal?.aborted) return stop();
      signal?.addEventListener('abort', stop, { once: true });
      this.#waiting.push(go);
    });
  }

  #connect(origin: string): Connection {
    const connection: Connection = new Connection(origin, this.#limits, this.#connectOptions, {
      onFree: (reusable) => {
        this.#busy.delete(connection);
        if (reusable) this.#idle.push(connection);
        this.#waiting.shift()?.();
      },
      onClose: () => {
        const index = this.#idle.indexOf(connection);
        if (index >= 0) this.#idle.splice(index, 1);
      },
    });
    return connection;
  }
}

function closed(): Error {
  return new Error('the connections were closed');
}
