import { once, setMaxListeners } from 'node:events';
import { Agent, createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { operationOf } from './s3-operation.ts';

/** What goes wrong with a request. All of it is data, so that another process can ask for it too. */
export type Fault =
  /** The proxy answers itself. `code` makes S3's XML of it; without one it is the HTML of some other proxy. */
  | { kind: 'answer'; status: number; code?: string; retryAfter?: number }
  /** The connection is reset when so many bytes of the body have come; 0: at once. The server never sees the request. */
  | { kind: 'reset-request'; after?: number }
  /** The server does it, and the connection is reset before the answer. */
  | { kind: 'lose-answer' }
  /**
   * The answer ends when so many bytes of its body are sent: with a reset, with an orderly end of the connection, or as
   * an answer without a length that looks whole.
   */
  | { kind: 'cut-answer'; after: number; how: 'reset' | 'end' | 'whole' }
  /** Silence: before the request goes to the server, before the answer, or when so many bytes of its body are sent. */
  | { kind: 'stall'; at: 'request' | 'answer' | number; ms: number }
  /** The answer is whole; then the connection is closed without notice, as servers close idle ones. */
  | { kind: 'close-idle' }
  /** The answer says that it is the whole object, as from a server that knows no ranges; its bytes are others. Of use with a range only. */
  | { kind: 'ignore-range' };

/** Which requests a fault is for, and how many of them. */
export interface FaultRule {
  readonly fault: Fault;
  /** S3's names, e.g. `PutObject`. Default: all. */
  readonly operations?: readonly string[];
  /** A regular expression. Default: any key. */
  readonly key?: string;
  /** Matching requests that are let through first. Default 0. */
  readonly skip?: number;
  /** Default: without end. */
  readonly times?: number;
  /** From 0 to 1. Default 1. */
  readonly probability?: number;
}

/** One request as it came. */
export interface ProxyRequest {
  /** S3's name, e.g. `PutObject`. */
  readonly operation: string;
  readonly method: string;
  /** Empty for what is asked of the bucket. */
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  /** A number for each connection of a client. */
  readonly connection: number;
  /** What the proxy did to it. */
  readonly fault: Fault | undefined;
  /** Bytes of the answer's body that were handed to the connection. */
  readonly sent: number;
  /** Resolves when nothing more comes: `whole` when the answer went out to its end, else `broken`. */
  readonly ended: Promise<'whole' | 'broken'>;
}

export interface FaultProxy {
  /** `http://127.0.0.1:<port>` */
  readonly endpoint: string;
  /** Of all that came since the start or `forget`. */
  readonly requests: readonly ProxyRequest[];
  /** Names of the operations, in the order in which they came. */
  readonly operations: readonly string[];
  /** Adds a rule; the first one that matches a request decides. @returns takes it back */
  inject(rule: FaultRule): () => void;
  /** Takes all rules back; what stalls goes on. */
  clear(): void;
  forget(): void;
  /** The next request of this operation. */
  next(operation: string): Promise<ProxyRequest>;
  close(): Promise<void>;
}

export interface FaultProxyOptions {
  /** The real server. */
  readonly endpoint: string;
  /** Default: a free one. */
  readonly port?: number;
  /** For what happens by probability; from 0 (included) to 1 (excluded). */
  readonly random?: () => number;
}

interface Rule extends FaultRule {
  seen: number;
  used: number;
}

type Recorded = { -readonly [Key in keyof ProxyRequest]: ProxyRequest[Key] };

/**
 * Stands in front of an S3 server and does to its connections what networks and servers do. Requests go on as they are
 * spelt, with the `Host` that was signed.
 */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const { hostname, port: serverPort } = new URL(options.endpoint);
  const { random = Math.random } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const connections = new Map<Socket, number>();
  let connectionCount = 0;
  let requests: Recorded[] = [];
  let rules: Rule[] = [];
  let stalls = endOfStalls();
  let waiting: { operation: string; resolve(request: ProxyRequest): void }[] = [];

  const faultFor = ({ operation, key }: ProxyRequest): Fault | undefined => {
    for (const rule of rules) {
      if (rule.operations !== undefined && !rule.operations.includes(operation)) continue;
      if (rule.key !== undefined && !new RegExp(rule.key).test(key)) continue;
      rule.seen += 1;
      if (rule.seen <= (rule.skip ?? 0) || rule.used >= (rule.times ?? Number.POSITIVE_INFINITY)) continue;
      if (rule.probability !== undefined && random() >= rule.probability) continue;
      rule.used += 1;
      return rule.fault;
    }
    return undefined;
  };

  const silence = (ms: number): Promise<unknown> =>
    delay(ms, undefined, { signal: stalls.signal, ref: false }).catch(() => undefined);

  async function pass(incoming: IncomingMessage, outgoing: ServerResponse, request: Recorded): Promise<void> {
    const { fault } = request;
    const socket = incoming.socket;
    if (fault?.kind === 'answer') {
      incoming.resume();
      return answer(outgoing, incoming.method === 'HEAD', fault);
    }
    if (fault?.kind === 'reset-request') {
      await received(incoming, fault.after ?? 0);
      return void socket.resetAndDestroy();
    }
    if (fault?.kind === 'stall' && fault.at === 'request') await silence(fault.ms);
    if (socket.destroyed) return;

    const headers = pairsOf(incoming.rawHeaders).filter(([name]) => !/^(expect|connection)$/i.test(name));
    const forwarded = send({
      hostname,
      port: serverPort,
      method: incoming.method,
      path: incoming.url,
      agent,
      setHost: false,
      headers: headers.flat(),
    });
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) forwarded.destroy();
    });
    const answered = once(forwarded, 'response') as Promise<[IncomingMessage]>;
    answered.catch(() => undefined);
    forwarded.on('error', () => undefined);
    // The client may go away in the middle of its body.
    incoming.once('error', () => forwarded.destroy());
    incoming.pipe(forwarded);
    const [response] = await answered;

    if (fault?.kind === 'lose-answer') {
      for await (const _ of response);
      return void socket.resetAndDestroy();
    }
    if (fault?.kind === 'stall' && fault.at === 'answer') await silence(fault.ms);
    if (socket.destroyed) return void response.destroy();
    const hidden = ['connection', 'keep-alive', 'transfer-encoding'];
    if (fault?.kind === 'cut-answer' && fault.how === 'whole') hidden.push('content-length');
    const ignoresRange = fault?.kind === 'ignore-range' && 'range' in request.headers;
    if (ignoresRange) hidden.push('content-range');
    const answerHeaders = pairsOf(response.rawHeaders).filter(([name]) => !hidden.includes(name.toLowerCase()));
    outgoing.writeHead(ignoresRange ? 200 : (response.statusCode ?? 502), answerHeaders.flat());
    outgoing.flushHeaders();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (ignoresRange) chunk.fill(0);
      const limit = fault?.kind === 'cut-answer' ? fault.after : stallsAt(fault);
      const piece = limit === undefined || request.sent > limit ? chunk : chunk.subarray(0, limit - request.sent);
      await write(outgoing, piece);
      request.sent += piece.length;
      if (piece.length < chunk.length && fault?.kind === 'cut-answer') return cut(outgoing, socket, fault.how);
      if (piece.length < chunk.length && fault?.kind === 'stall') {
        await silence(fault.ms);
        request.sent += chunk.length - piece.length;
        await write(outgoing, chunk.subarray(piece.length));
      }
    }
    outgoing.end();
    if (fault?.kind === 'close-idle') outgoing.once('finish', () => setImmediate(() => socket.destroy()));
  }

  const server = createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 }, (incoming, outgoing) => {
    const url = new URL(incoming.url ?? '/', 'http://localhost');
    const [, ...segments] = url.pathname.split('/').slice(1);
    const headers = Object.fromEntries(
      pairsOf(incoming.rawHeaders).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const method = incoming.method ?? 'GET';
    const key = segments.map(decodeURIComponent).join('/');
    const ended = new Promise<'whole' | 'broken'>((resolve) => {
      outgoing.once('close', () => resolve(outgoing.writableFinished ? 'whole' : 'broken'));
    });
    const request: Recorded = {
      operation: operationOf(method, key, url.searchParams, headers),
      method,
      key,
      query: url.searchParams,
      headers,
      connection: connections.get(incoming.socket) ?? 0,
      fault: undefined,
      sent: 0,
      ended,
    };
    request.fault = faultFor(request);
    requests.push(request);
    for (const each of waiting.filter(({ operation }) => operation === request.operation)) each.resolve(request);
    waiting = waiting.filter(({ operation }) => operation !== request.operation);
    // The client sees a broken connection, as it does when the server breaks one.
    pass(incoming, outgoing, request).catch(() => incoming.socket.destroy());
  });
  server.on('connection', (socket: Socket) => {
    connectionCount += 1;
    connections.set(socket, connectionCount);
    socket.on('error', () => undefined);
    socket.once('close', () => connections.delete(socket));
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    endpoint: `http://127.0.0.1:${port}`,
    get requests() {
      return requests;
    },
    get operations() {
      return requests.map(({ operation }) => operation);
    },
    inject(rule) {
      const own = { ...rule, seen: 0, used: 0 };
      rules.push(own);
      return () => {
        rules = rules.filter((each) => each !== own);
      };
    },
    clear() {
      rules = [];
      stalls.abort();
      stalls = endOfStalls();
    },
    forget() {
      requests = [];
    },
    next: (operation) => new Promise((resolve) => waiting.push({ operation, resolve })),
    async close() {
      stalls.abort();
      const closed = once(server, 'close');
      server.close();
      for (const socket of connections.keys()) socket.destroy();
      agent.destroy();
      await closed;
    },
  };
}

/** Many requests stall at the same time. */
function endOfStalls(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Resolves when so many bytes of the body have come, or it has ended. */
function received(incoming: IncomingMessage, bytes: number): Promise<void> {
  if (bytes === 0) return Promise.resolve();
  let count = 0;
  return new Promise((resolve) => {
    incoming.once('close', resolve);
    incoming.on('data', (chunk: Buffer) => {
      count += chunk.length;
      if (count >= bytes) resolve();
    });
  });
}

function stallsAt(fault: Fault | undefined): number | undefined {
  return fault?.kind === 'stall' && typeof fault.at === 'number' ? fault.at : undefined;
}

function answer(
  outgoing: ServerResponse,
  head: boolean,
  { status, code, retryAfter }: Fault & { kind: 'answer' },
): void {
  const body =
    code === undefined
      ? '<!DOCTYPE html><html><body><h1>Something went wrong</h1></body></html>'
      : `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>as the test wants it</Message></Error>`;
  outgoing.writeHead(status, {
    'Content-Type': code === undefined ? 'text/html' : 'application/xml',
    'Content-Length': Buffer.byteLength(body),
    ...(retryAfter !== undefined && { 'Retry-After': retryAfter }),
  });
  outgoing.end(head ? undefined : body);
}

function cut(outgoing: ServerResponse, socket: Socket, how: 'reset' | 'end' | 'whole'): void {
  if (how === 'reset') socket.resetAndDestroy();
  else if (how === 'end') socket.end();
  else outgoing.end();
}

/** Resolves when the client has room for more. @throws Error when it has gone */
async function write(outgoing: ServerResponse, chunk: Buffer): Promise<void> {
  if (outgoing.destroyed) throw new Error('the client has gone');
  if (chunk.length === 0 || outgoing.write(chunk)) return;
  const gone = new AbortController();
  const onClose = () => gone.abort();
  outgoing.once('close', onClose);
  try {
    await once(outgoing, 'drain', { signal: gone.signal });
  } finally {
    outgoing.off('close', onClose);
  }
}

function pairsOf(rawHeaders: readonly string[]): [name: string, value: string][] {
  return rawHeaders.flatMap((name, index) =>
    index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? ''] as [string, string]] : [],
  );
}
