import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { TlsOptions as NodeTlsOptions } from 'node:tls';
import type { Log } from '../log.ts';
import { expectContinue } from './continue.ts';
import { waitsForClient } from './idle.ts';
import { closeLingering } from './linger.ts';
import { errorCode } from './listen-error.ts';
import { type Refusal, rawRefusal, refuse } from './refusal.ts';
import type { Timeouts } from './timeouts.ts';
import { createTurns } from './turns.ts';
import { guardUnreadBody } from './unread-body.ts';

/** Of all headers of a request together, in bytes. Tokens with many scopes are long. */
const maxHeaderSize = 64 * 1024;

export interface Http1Options {
  handle(incoming: IncomingMessage, outgoing: ServerResponse): void;
  /** Present: the server speaks TLS. */
  tls: NodeTlsOptions | undefined;
  timeouts: Timeouts;
  log: Log;
}

export interface Http1 {
  /** Does not take connections by itself: give those that speak HTTP/1 to `serve`. */
  readonly server: http.Server | https.Server;
  serve(socket: Socket): void;
  /** Closes idle connections, and the others after their answer. Resolves when none is left. */
  drain(): Promise<void>;
}

export function createHttp1({ handle, tls, timeouts, log }: Http1Options): Http1 {
  const settings = {
    headersTimeout: timeouts.header,
    connectionsCheckingInterval: Math.min(5000, Math.ceil(timeouts.header / 2)),
    keepAliveTimeout: timeouts.keepalive,
    requestTimeout: 0, // A large layer over a slow line takes hours.
    maxHeaderSize,
    noDelay: true,
    requireHostHeader: false, // We refuse it ourselves, with a body.
  };
  const server = tls === undefined ? http.createServer(settings) : https.createServer({ ...tls, ...settings });
  const accepted = tls === undefined ? 'connection' : 'secureConnection';
  const serveByNode = server.listeners(accepted);
  server.removeAllListeners(accepted);

  /** Open connections, each with its latest answer. */
  const exchanges = new Map<Socket, ServerResponse | undefined>();
  const inTurn = createTurns();
  let drained: (() => void) | undefined;

  const begin = (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const { socket } = incoming;
    // A request behind one whose answer closes the connection: nobody will read an answer.
    if (socket.writableEnded) return false;
    exchanges.set(socket, outgoing);
    if (drained !== undefined) outgoing.shouldKeepAlive = false;
    guardUnreadBody(incoming, outgoing, () => drained === undefined);
    return true;
  };

  server.on('request', (incoming, outgoing) => {
    if (!begin(incoming, outgoing)) return;
    if (incoming.headers.host === undefined && incoming.httpVersion === '1.1') refuse(incoming, outgoing, 400);
    else inTurn(outgoing, () => handle(incoming, outgoing));
  });
  server.on('checkContinue', (incoming, outgoing) => {
    expectContinue(incoming);
    server.emit('request', incoming, outgoing);
  });
  server.on('checkExpectation', (incoming, outgoing) => {
    if (begin(incoming, outgoing)) refuse(incoming, outgoing, 417);
  });

  server.timeout = timeouts.body;
  server.on('timeout', (socket) => {
    const outgoing = exchanges.get(socket);
    if (outgoing !== undefined && !waitsForClient(socket, outgoing.req, outgoing)) {
      socket.setTimeout(timeouts.body);
      return;
    }
    if (outgoing !== undefined && !outgoing.writableFinished) {
      log.info('cut a client that neither sent nor took bytes', {
        remote: socket.remoteAddress,
        method: outgoing.req.method,
        path: outgoing.req.url,
      });
    }
    socket.destroy();
  });

  server.on('clientError', (error, duplex) => {
    const socket = duplex as Socket;
    log.debug('dropped a connection', { remote: socket.remoteAddress, error });
    const outgoing = exchanges.get(socket);
    const running = outgoing !== undefined && !outgoing.writableFinished;
    const refusal = refusalFor(errorCode(error));
    if (refusal === undefined || !socket.writable || (running && outgoing.headersSent)) {
      socket.destroy();
      return;
    }
    // The parser has given up and would complain again about every further byte.
    socket.removeAllListeners('data');
    socket.write(rawRefusal(refusal));
    // A handler that is reading the body should hear at once that no more will come.
    if (running) socket.destroySoon();
    else closeLingering(socket, socket);
  });

  const serve = (socket: Socket) => {
    exchanges.set(socket, undefined);
    socket.once('close', () => {
      exchanges.delete(socket);
      if (exchanges.size === 0) drained?.();
    });
    for (const listener of serveByNode) listener.call(server, socket);
    if (drained !== undefined) socket.destroySoon();
  };

  const drain = () =>
    new Promise<void>((resolve) => {
      drained = resolve;
      if (exchanges.size === 0) resolve();
      for (const [socket, outgoing] of exchanges) {
        if (outgoing === undefined || outgoing.writableFinished) {
          socket.destroySoon();
        } else {
          outgoing.shouldKeepAlive = false;
          outgoing.once('finish', () => socket.destroySoon());
        }
      }
    });

  return { server, serve, drain };
}

/** Undefined: there is nobody to tell. */
function refusalFor(code: string | undefined): Refusal | undefined {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 431;
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 413;
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 408;
    case 'HPE_INVALID_EOF_STATE':
      return undefined;
    default:
      return code?.startsWith('HPE_') ? 400 : undefined;
  }
}
