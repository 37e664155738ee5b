import type { Socket } from 'node:net';

/** What an HTTP/2 client with prior knowledge sends first (RFC 9113, section 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/**
 * Finds out from the first bytes of a connection whether it speaks HTTP/2, and puts them back. A connection that shows
 * nothing for `timeout` milliseconds is closed.
 */
export function sniffHttp2(socket: Socket, timeout: number, decide: (isHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const drop = () => {
    socket.destroy();
  };
  const timer = setTimeout(drop, timeout).unref();

  const finish = () => {
    clearTimeout(timer);
    socket.off('readable', read);
    socket.off('close', finish);
    socket.off('end', drop);
    socket.off('error', drop);
  };
  const read = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, preface.length);
    const matches = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (matches && length < preface.length) return;
    finish();
    socket.unshift(seen);
    decide(matches);
  };
  socket.on('readable', read);
  socket.once('close', finish);
  socket.on('end', drop);
  socket.on('error', drop);
}
