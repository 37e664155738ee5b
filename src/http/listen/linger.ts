import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** How long a client may go on sending after it was answered, in milliseconds. */
const lingerTime = 5000;

/** How much it may send in that time, in bytes. */
const lingerBytes = 64 * 1024 * 1024;

/**
 * Closes the connection so that the client can read its answer: ends our side, takes and drops what the client still
 * sends, and only then closes (RFC 9112, section 9.6). A socket that is closed with unread bytes is reset, and a client
 * that writes its whole request before it reads would report "broken pipe" instead of the answer.
 *
 * @param unread what the client is still sending: the rest of the request's body, or the socket itself
 */
export function closeLingering(socket: Socket, unread: Readable): void {
  const timer = setTimeout(() => socket.destroy(), lingerTime).unref();
  socket.once('close', () => clearTimeout(timer));
  let left = lingerBytes;
  unread.on('data', (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) socket.destroy();
  });
  unread.once('end', () => socket.destroySoon());
  socket.end();
}
