import http2, { type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Log } from '../log.ts';
import { expectContinue } from './continue.ts';
import { streamWaitsForClient } from './idle.ts';
import { refuse } from './refusal.ts';
import type { Timeouts } from './timeouts.ts';
import { guardUnreadStream } from './unread-body.ts';

const { NGHTTP2_CANCEL } = http2.constants;

/**
 * What a client may send ahead of us, per stream and per connection, in bytes. An upload is no faster than this per
 * round trip, and a connection whose handlers do not read holds no more than this in memory.
 */
const streamWindow = 4 * 1024 * 1024;
const connectionWindow = 8 * 1024 * 1024;

/** How long a client may take to close a connection that we have ended, in milliseconds. */
const goodbyeTime = 1000;

export interface Http2Options {
  handle(incoming: Http2ServerRequest, outgoing: Http2ServerResponse): void;
  timeouts: Timeouts;
  log: Log;
}

export interface Http2 {
  /** Takes over a connection whose client speaks HTTP/2. */
  serve(socket: Socket): void;
  /** Tells all clients to go (GOAWAY); running requests are finished. Resolves when no connection is left. */
  drain(): Promise<void>;
}

/** Floods of resets, pings, settings and continuations are ended by Node (nghttp2) itself. */
export function createHttp2({ handle, timeouts, log }: Http2Options): Http2 {
  const server = http2.createServer({
    settings: { initialWindowSize: streamWindow, maxConcurrentStreams: 250, maxHeaderListSize: 64 * 1024 },
    maxSessionMemory: 64, // In MiB. Waiting answers count, and 250 streams may each have a chunk of one.
  });
  const sessions = new Set<ServerHttp2Session>();
  let drained: (() => void) | undefined;

  const begin = (incoming: Http2ServerRequest, outgoing: Http2ServerResponse) => {
    const { stream } = outgoing;
    guardUnreadStream(outgoing);
    stream.setTimeout(timeouts.body);
    stream.on('timeout', () => {
      if (streamWaitsForClient(incoming, outgoing)) {
        log.info('cut a client that neither sent nor took bytes', {
          remote: stream.session?.socket.remoteAddress,
          method: incoming.method,
          path: incoming.url,
        });
        stream.close(NGHTTP2_CANCEL);
      } else {
        stream.setTimeout(timeouts.body);
      }
    });
  };

  server.on('request', (incoming, outgoing) => {
    begin(incoming, outgoing);
    // A request that is reset at once, as in a flood of them (CVE-2023-44487), must not begin to cost anything.
    setImmediate(() => {
      if (!outgoing.stream.destroyed) handle(incoming, outgoing);
    });
  });
  server.on('checkContinue', (incoming, outgoing) => {
    expectContinue(incoming);
    server.emit('request', incoming, outgoing);
  });
  server.on('checkExpectation', (incoming, outgoing) => {
    begin(incoming, outgoing);
    refuse(incoming, outgoing, 417);
  });
  server.on('sessionError', (error) => log.debug('an HTTP/2 connection failed', { error }));

  const adopt = (session: ServerHttp2Session, socket: Socket) => {
    sessions.add(session);
    session.setLocalWindowSize(connectionWindow);
    let streams = 0;
    const idle = setTimeout(() => {
      if (streams === 0) session.close();
    }, timeouts.keepalive).unref();
    session.on('stream', (stream) => {
      streams += 1;
      stream.once('close', () => {
        streams -= 1;
        idle.refresh();
      });
    });
    session.once('close', () => {
      clearTimeout(idle);
      sessions.delete(session);
      if (sessions.size === 0) drained?.();
    });
    // The session has ended the connection; a client that does not close its side must not keep it.
    socket.once('finish', () => {
      const goodbye = setTimeout(() => socket.destroy(), goodbyeTime).unref();
      socket.once('close', () => clearTimeout(goodbye));
    });
    if (drained !== undefined) session.close();
  };

  const serve = (socket: Socket) => {
    // Sockets of an HTTP/1 server may stay half-open. A client of HTTP/2 that has ended its side is gone, as it could no
    // longer make room for what it gets (RFC 9113, 5.2): its session must not live on with streams that nobody takes.
    socket.allowHalfOpen = false;
    // Emitted before emit() returns.
    server.once('session', (session) => adopt(session, socket));
    server.emit('connection', socket);
  };

  const drain = () =>
    new Promise<void>((resolve) => {
      drained = resolve;
      if (sessions.size === 0) resolve();
      for (const session of sessions) session.close();
    });

  return { serve, drain };
}
