import { connect as connectTcp, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { type HttpLimits, NoConnectionError } from './http.ts';
import { ObjectBody } from './object-body.ts';
import { bodySize, maxHeadSize, parseHead, type ResponseHead } from './response-head.ts';

export interface ObjectRequest {
  /** `https://host:port` */
  readonly origin: string;
  readonly path: string;
  /** With `host`. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface ObjectAnswer extends ResponseHead {
  /** To be read to its end, or destroyed. Undefined where the answer is no object: whatever body it has is dropped. */
  readonly body: ObjectBody | undefined;
}

/** How long a connection waits for its next request, in milliseconds: not as long as servers keep theirs. */
const keepAlive = 4_000;

/**
 * Connections for GETs of objects, which are used again. They know of HTTP what an object needs, a head and a length; in
 * return its bytes go from the kernel to where they are sent on from, which costs less than half of what a general client does.
 */
export class ObjectConnections {
  readonly #limits: HttpLimits;
  readonly #skipVerify: boolean;
  /** Those that are busy. */
  readonly #busy = new Set<ObjectConnection>();
  /** Those that have nothing to do, the one that had something last at the end. */
  readonly #idle: ObjectConnection[] = [];
  readonly #waiting: (() => void)[] = [];
  #closed = false;

  constructor(limits: HttpLimits, tls: { readonly skipverify: boolean }) {
    this.#limits = limits;
    this.#skipVerify = tls.skipverify;
  }

  /** Resolves when the answer begins, whatever its status is. */
  async get(request: ObjectRequest, signal: AbortSignal): Promise<ObjectAnswer> {
    while (this.#busy.size >= this.#limits.connections) await this.#turn(signal);
    if (this.#closed) throw closed();
    const index = this.#idle.findLastIndex(({ origin }) => origin === request.origin);
    const [connection = this.#connect(request.origin)] = index < 0 ? [] : this.#idle.splice(index, 1);
    this.#busy.add(connection);
    return connection.get(request, signal);
  }

  /** Without waiting for what is on its way. Who waits for a connection gets none. */
  close(): void {
    this.#closed = true;
    for (const connection of [...this.#busy, ...this.#idle]) connection.destroy(closed());
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal.removeEventListener('abort', stop);
        resolve();
      };
      const stop = () => {
        const index = this.#waiting.indexOf(go);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(new NoConnectionError('aborted while it waited'));
      };
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      this.#waiting.push(go);
    });
  }

  #connect(origin: string): ObjectConnection {
    const connection: ObjectConnection = new ObjectConnection(origin, {
      limits: this.#limits,
      skipVerify: this.#skipVerify,
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
  return new Error('the driver was closed');
}

interface ObjectConnectionOptions {
  readonly limits: HttpLimits;
  readonly skipVerify: boolean;
  /** It has nothing to do any more. @param reusable whether it takes another request */
  onFree(reusable: boolean): void;
  onClose(): void;
}

/** What a connection is doing. */
interface Exchange {
  resolve(answer: ObjectAnswer): void;
  reject(error: Error): void;
  body?: ObjectBody;
  /** Bytes of the body that have not come yet. */
  missing: number;
  /** Whether the server keeps the connection open. */
  reusable: boolean;
}

/** One connection, and one request on it at a time. */
class ObjectConnection {
  readonly origin: string;
  readonly #options: ObjectConnectionOptions;
  readonly #socket: Socket;
  /** For heads, of which the last bytes may be the first ones of a body. */
  readonly #head = Buffer.allocUnsafeSlow(maxHeadSize);
  #headSize = 0;
  #exchange: Exchange | undefined;

  constructor(origin: string, options: ObjectConnectionOptions) {
    this.origin = origin;
    this.#options = options;
    const { protocol, hostname, port } = new URL(origin);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const onread = { buffer: () => this.#space(), callback: (size: number) => this.#read(size) };
    const target: NetConnectOpts = { host, port: Number(port || (protocol === 'https:' ? 443 : 80)), onread };
    const name = isIP(host) === 0 ? { servername: host } : {};
    const secure: ConnectionOptions = { ...target, ...name, rejectUnauthorized: !options.skipVerify };
    this.#socket = protocol === 'https:' ? connectTls(secure) : connectTcp(target);
    const connected = protocol === 'https:' ? 'secureConnect' : 'connect';
    this.#socket.setNoDelay(true);
    this.#socket.setTimeout(options.limits.connect);
    this.#socket.on('timeout', () => this.#timedOut());
    this.#socket.once(connected, () => this.#socket.setTimeout(options.limits.idle));
    this.#socket.on('error', (error) => this.#broken(error));
    this.#socket.on('end', () => this.#broken(new Error('the server closed the connection')));
    this.#socket.on('close', () => this.#broken(new Error('the connection was closed')));
  }

  get({ path, headers }: ObjectRequest, signal: AbortSignal): Promise<ObjectAnswer> {
    return new Promise((resolve, reject) => {
      const abort = () => this.destroy(new Error('aborted'));
      const settle = () => signal.removeEventListener('abort', abort);
      this.#exchange = {
        resolve(answer) {
          settle();
          resolve(answer);
        },
        reject(error) {
          settle();
          reject(error);
        },
        missing: 0,
        reusable: true,
      };
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort, { once: true });
      if (!this.#socket.connecting) this.#socket.setTimeout(this.#options.limits.idle);
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      this.#socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`, 'latin1');
    });
  }

  destroy(reason: Error): void {
    this.#socket.destroy();
    this.#broken(reason);
  }

  /** Where the kernel is to put what it reads next. */
  #space(): Buffer {
    const { body, missing } = this.#exchange ?? {};
    return body !== undefined && missing !== 0 ? body.space() : this.#head.subarray(this.#headSize);
  }

  /** @returns whether to read on */
  #read(size: number): boolean {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.destroy(new Error('the server says something unasked'));
      return false;
    }
    if (exchange.body !== undefined) return this.#readBody(exchange, exchange.body, size);
    this.#headSize += size;
    try {
      this.#readHead(exchange);
    } catch (error) {
      this.destroy(error as Error);
    }
    return true;
  }

  #readHead(exchange: Exchange): void {
    const bytes = this.#head.subarray(0, this.#headSize);
    const parsed = parseHead(bytes);
    if (parsed === undefined) return;
    const { head, end } = parsed;
    const rest = bytes.subarray(end);
    if (head.status < 200) {
      this.#headSize = rest.copy(this.#head);
      if (this.#headSize > 0) this.#readHead(exchange);
      return;
    }
    const size = bodySize(head);
    if ((head.status !== 200 && head.status !== 206) || size === undefined) {
      exchange.resolve({ ...head, body: undefined });
      this.destroy(new Error('not an object'));
      return;
    }
    exchange.missing = size;
    exchange.reusable = !/\bclose\b/i.test(head.headers.connection ?? '');
    const body = new ObjectBody({
      resume: () => void this.#socket.setTimeout(this.#options.limits.idle).resume(),
      abort: (reason) => this.destroy(reason),
    });
    exchange.body = body;
    exchange.resolve({ ...head, body });
    rest.copy(body.space());
    this.#readBody(exchange, body, rest.length);
  }

  #readBody(exchange: Exchange, body: ObjectBody, size: number): boolean {
    const added = Math.min(size, exchange.missing);
    exchange.missing -= added;
    const goesOn = body.added(added);
    if (exchange.missing > 0) return goesOn;
    this.#exchange = undefined;
    this.#headSize = 0;
    body.end();
    // What comes beyond the end would be taken for the beginning of the next answer.
    const reusable = exchange.reusable && added === size;
    if (reusable) this.#socket.setTimeout(keepAlive);
    else this.#socket.destroy();
    this.#options.onFree(reusable);
    return true;
  }

  #timedOut(): void {
    // While its bytes are not taken nothing comes, and whoever reads them sees to it.
    if (this.#exchange?.body?.isFull) return;
    this.destroy(new Error(`silent for ${this.#socket.timeout} ms`));
  }

  #broken(reason: Error): void {
    this.#socket.destroy();
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#options.onClose();
    if (exchange === undefined) return;
    exchange.reject(reason);
    exchange.body?.end(reason);
    this.#options.onFree(false);
  }
}
