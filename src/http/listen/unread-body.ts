import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { constants } from 'node:http2';
import { awaitsContinue } from './continue.ts';
import { closeLingering } from './linger.ts';

/**
 * An unread rest of at most this many bytes is taken off the connection, which then serves the next request. A longer
 * one costs more than a new connection.
 */
const maxDrained = 1024 * 1024;

/** Bytes of the body as announced; Infinity when it comes in chunks. */
function announcedLength(incoming: IncomingMessage): number {
  if (incoming.headers['transfer-encoding'] !== undefined) return Number.POSITIVE_INFINITY;
  return Number(incoming.headers['content-length'] ?? 0);
}

/**
 * Sees to it that an answer which is sent before the body was read (401, 404, 413, …) reaches the client: a short rest
 * is drained, otherwise the answer says `Connection: close` and the connection is closed lingering.
 *
 * @param mayKeep whether the connection may serve another request at all; asked when the body has been read
 */
export function guardUnreadBody(incoming: IncomingMessage, outgoing: ServerResponse, mayKeep: () => boolean): void {
  const length = announcedLength(incoming);
  if (length === 0) return;
  // A client that was answered without `100 Continue` may or may not send its body: the next bytes cannot be told apart.
  if (length > maxDrained || awaitsContinue(incoming)) {
    const keep = outgoing.shouldKeepAlive;
    outgoing.shouldKeepAlive = false;
    incoming.once('end', () => {
      if (!outgoing.headersSent) outgoing.shouldKeepAlive = keep && mayKeep();
    });
  }
  // Before Node's own listener, which would discard without a limit or close at once.
  outgoing.prependOnceListener('finish', () => {
    if (incoming.complete) return;
    const { socket } = incoming;
    incoming.unpipe();
    incoming.removeAllListeners('data');
    incoming.removeAllListeners('readable');
    // What Node calls when the answer was the connection's last.
    const restore = () => Reflect.deleteProperty(socket, 'destroySoon');
    socket.destroySoon = () => {
      restore();
      closeLingering(socket, incoming);
    };
    incoming.once('end', restore);
    incoming.resume();
  });
}

/** How often a stream is looked at whose answer is written but still under way, in milliseconds. */
const sentInterval = 5;

/**
 * The same for HTTP/2, where the stream is ended without touching the connection: a reset without an error tells the
 * client to stop sending (RFC 9113, section 8.1). It must not overtake the answer's end.
 */
export function guardUnreadStream(outgoing: Http2ServerResponse): void {
  const { stream } = outgoing;
  if (stream.endAfterHeaders) return;
  stream.once('finish', function end() {
    if (stream.closed || stream.destroyed || stream.state.remoteClose === 1) return;
    if (stream.state.localClose === 1) stream.close(constants.NGHTTP2_NO_ERROR);
    else setTimeout(end, sentInterval).unref();
  });
}
