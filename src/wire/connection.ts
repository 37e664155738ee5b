import { connect as connectTcp, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { Body } from './body.ts';
import type { ConnectOptions, Limits } from './connections.ts';
import { type Framing, framingOf } from './framing.ts';
import type { Answer, Request } from './messages.ts';
import { keptFor, MalformedAnswerError, maxHeadSize, parseHead } from './response-head.ts';

/** Something takes longer than its limit. */
export class LateError extends Error {
  override readonly name = 'LateError';
}

/** The server ended the connection, as one may at any time that was kept for another request. */
export class ClosedError extends Error {
  override readonly name = 'ClosedError';
  readonly code = 'ECONNRESET';
}

export interface ConnectionEvents {
  /** It has nothing to do any more. @param reusable whether it takes another request */
  onFree(reusable: boolean): void;
  onClose(): void;
}

/** What a connection is doing. */
interface Exchange {
  readonly method: Request['method'];
  resolve(answer: Answer): void;
  reject(error: Error): void;
  /** No signal ends it any more. */
  settle(): void;
  /** What the head has told. */
  answer?: { readonly body: Body; readonly framing: Framing; readonly keepAlive: number };
}

/** One connection, and one request on it at a time. */
export class Connection {
  readonly origin: string;
  readonly #limits: Limits;
  readonly #events: ConnectionEvents;
  readonly #socket: Socket;
  #connected = false;
  /** For heads, of which the last bytes may be the first ones of a body. */
  readonly #head = Buffer.allocUnsafeSlow(maxHeadSize);
  #headSize = 0;
  /** Where the kernel puts what it reads next. */
  #space: Buffer = this.#head;
  #exchange: Exchange | undefined;
  #deadline: NodeJS.Timeout | undefined;

  constructor(origin: string, limits: Limits, options: ConnectOptions, events: ConnectionEvents) {
    this.origin = origin;
    this.#limits = limits;
    this.#events = events;
    const { protocol, hostname, port } = new URL(origin);
    const isSecure = protocol === 'https:';
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const onread = { buffer: () => this.#nextSpace(), callback: (size: number) => this.#read(size) };
    const { lookup, ...tls } = options;
    const target: NetConnectOpts = {
      host,
      port: Number(port || (isSecure ? 443 : 80)),
      onread,
      ...(lookup && { lookup }),
    };
    const name = isIP(host) === 0 ? { servername: host } : {};
    const secure: ConnectionOptions = { ...target, ...name, ...tls, ALPNProtocols: ['http/1.1'] };
    this.#socket = isSecure ? connectTls(secure) : connectTcp(target);
    this.#socket.setNoDelay(true);
    this.#limit(limits.connect, 'gave no connection');
    this.#socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      this.#connected = true;
      this.#limit(limits.head, 'did not answer');
    });
    this.#socket.on('timeout', () => this.#fellSilent());
    this.#socket.on('error', (error) => this.#broken(error));
    this.#socket.on('end', () => this.#ended());
    this.#socket.on('close', () => this.#broken(new ClosedError('the connection was closed')));
  }

  /** @param request as its bytes are */
  send(method: Request['method'], request: Buffer, signal?: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const abort = () => {
        // Who reads it gets no more of it, whatever has come.
        this.#exchange?.answer?.body.destroy(signal?.reason);
        this.destroy(signal?.reason);
      };
      const settle = () => signal?.removeEventListener('abort', abort);
      this.#exchange = { method, resolve, reject, settle };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      if (this.#connected) this.#limit(this.#limits.head, 'did not answer');
      // What limits the answer is the deadline.
      this.#socket.setTimeout(0);
      this.#socket.write(request);
    });
  }

  destroy(reason: Error): void {
    this.#socket.destroy();
    this.#broken(reason);
  }

  #limit(milliseconds: number, failure: string): void {
    clearTimeout(this.#deadline);
    const late = () => this.destroy(new LateError(`${failure} within ${milliseconds} ms`));
    this.#deadline = setTimeout(late, milliseconds);
  }

  #nextSpace(): Buffer {
    this.#space = this.#exchange?.answer?.body.space() ?? this.#head.subarray(this.#headSize);
    return this.#space;
  }

  /** @returns whether to read on */
  #read(size: number): boolean {
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.destroy(new MalformedAnswerError('the server says something unasked'));
      return false;
    }
    // Else there may be more, of which the next request must not be answered.
    const isAll = size < this.#space.length;
    try {
      if (exchange.answer !== undefined) return this.#readBody(exchange, this.#space.subarray(0, size), isAll);
      this.#headSize += size;
      return this.#readHead(exchange, isAll);
    } catch (error) {
      this.destroy(error as Error);
      return false;
    }
  }

  #readHead(exchange: Exchange, isAll: boolean): boolean {
    const bytes = this.#head.subarray(0, this.#headSize);
    const parsed = parseHead(bytes);
    if (parsed === undefined) return true;
    const { head, end, persistent } = parsed;
    const rest = bytes.subarray(end);
    if (head.status === 101) throw new MalformedAnswerError('the answer changes the protocol, which nobody asked for');
    if (head.status < 200) {
      this.#headSize = rest.copy(this.#head);
      return this.#readHead(exchange, isAll);
    }
    const framing = framingOf(head, exchange.method);
    const body = new Body(
      {
        resume: () => void this.#socket.setTimeout(this.#limits.idle).resume(),
        abort: (reason) => this.destroy(reason),
      },
      framing.size,
    );
    exchange.answer = { body, framing, keepAlive: persistent ? keptFor(head) : 0 };
    clearTimeout(this.#deadline);
    this.#socket.setTimeout(this.#limits.idle);
    exchange.resolve({ ...head, body });
    const space = body.space();
    return this.#readBody(exchange, space.subarray(0, rest.copy(space)), isAll);
  }

  /** @param bytes that are where the body has its space */
  #readBody(exchange: Exchange, bytes: Buffer, isAll: boolean): boolean {
    const { body, framing } = exchange.answer as NonNullable<Exchange['answer']>;
    const goesOn = body.added(framing.take(bytes));
    if (framing.state === 'open') return goesOn;
    this.#finish(exchange, framing.state === 'complete' && isAll);
    return true;
  }

  /** @param reusable whether another answer may come */
  #finish({ answer, settle }: Exchange, reusable: boolean): void {
    this.#exchange = undefined;
    this.#headSize = 0;
    settle();
    answer?.body.end();
    const keepAlive = Math.min(this.#limits.keepAlive, answer?.keepAlive ?? 0);
    const isKept = reusable && keepAlive > 0;
    // Over TLS the end may come after one has said stop.
    if (isKept) this.#socket.setTimeout(keepAlive).resume();
    else this.#socket.destroy();
    this.#events.onFree(isKept);
  }

  #ended(): void {
    const exchange = this.#exchange;
    if (exchange?.answer?.framing.untilClose) this.#finish(exchange, false);
    else this.destroy(new ClosedError('the server closed the connection'));
  }

  #fellSilent(): void {
    // While its bytes are not taken nothing comes, and whoever reads them sees to it.
    if (this.#exchange?.answer?.body.isFull) return;
    this.destroy(new LateError(`silent for ${this.#socket.timeout} ms`));
  }

  #broken(reason: Error): void {
    this.#socket.destroy();
    clearTimeout(this.#deadline);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#events.onClose();
    if (exchange === undefined) return;
    exchange.settle();
    exchange.reject(reason);
    exchange.answer?.body.end(reason);
    this.#events.onFree(false);
  }
}
