import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import { awaitsContinue } from './continue.ts';

/*
 * A socket or stream on which nothing has moved for the idle limit is not yet a lazy client: we may be the one who is
 * at work. These say whose turn it is.
 */

/** Whether an HTTP/1 exchange waits for bytes from the client, or for the client to take bytes. */
export function waitsForClient(socket: Socket, incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  if (outgoing.writableFinished || socket.writableLength > 0) return true;
  // Bytes in the buffer mean that we have not even taken those yet.
  return !incoming.complete && incoming.readableLength === 0 && !awaitsContinue(incoming);
}

/** The same for an exchange over HTTP/2. */
export function streamWaitsForClient(incoming: Http2ServerRequest, outgoing: Http2ServerResponse): boolean {
  const { stream } = outgoing;
  if (stream.writableFinished || stream.writableLength > 0) return true;
  const bodyEnded = stream.endAfterHeaders || stream.readableEnded;
  return !bodyEnded && stream.readableLength === 0 && incoming.readableLength === 0 && !awaitsContinue(incoming);
}
