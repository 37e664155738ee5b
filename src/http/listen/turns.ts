import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests that a client may send before their turn. Hardly any client sends one; browsers and Go send none. */
const maxWaiting = 64;

/**
 * Lets the requests of an HTTP/1 connection be handled one after the other. Their answers have to go out in order
 * anyway; handled at once, each pipelined one would hold an open file and its buffers until its turn, and nothing would
 * tell it when the connection ends. A client that sends far ahead is cut.
 */
export function createTurns(): (outgoing: ServerResponse, handle: () => void) => void {
  /** Present while a request of the connection is being handled. */
  const waiting = new WeakMap<Socket, (() => void)[]>();

  return (outgoing, handle) => {
    const { socket } = outgoing.req;
    const start = () => {
      outgoing.once('close', () => {
        const next = waiting.get(socket)?.shift();
        if (next === undefined) waiting.delete(socket);
        else if (!socket.destroyed) next();
      });
      handle();
    };
    const queue = waiting.get(socket);
    if (queue === undefined) {
      waiting.set(socket, []);
      start();
    } else if (queue.length < maxWaiting) {
      queue.push(start);
    } else {
      socket.destroy();
    }
  };
}
