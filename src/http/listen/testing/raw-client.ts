import { once } from 'node:events';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A client that says exactly what it is told to, byte by byte. */
export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far. */
  text(): string;
  /** Resolves when the text contains `part`; rejects when the connection ends without it. */
  until(part: string): Promise<string>;
  /** Resolves with everything received when the server has closed its side, or the connection broke. */
  ended(): Promise<string>;
  /** The fault of the connection, e.g. ECONNRESET; undefined after an orderly end. */
  fault(): NodeJS.ErrnoException | undefined;
  /** Sends all of it, however long the server takes; rejects when the connection breaks meanwhile. */
  send(bytes: string | Buffer): Promise<void>;
}

export async function connectRaw(target: NetConnectOpts): Promise<RawClient> {
  const socket = connect({ allowHalfOpen: true, ...target });
  await once(socket, 'connect');
  return wrapRaw(socket);
}

export function wrapRaw(socket: Socket): RawClient {
  let received = '';
  let over = false;
  let fault: NodeJS.ErrnoException | undefined;
  const changed = new Set<() => void>();
  const notify = () => {
    for (const look of changed) look();
  };
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1');
    notify();
  });
  socket.on('error', (error) => {
    fault = error;
  });
  for (const event of ['end', 'close']) {
    socket.on(event, () => {
      over = true;
      notify();
    });
  }
  const when = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return;
        changed.delete(look);
        resolve();
      };
      changed.add(look);
      look();
    });

  return {
    socket,
    text: () => received,
    fault: () => fault,
    async until(part) {
      await when(() => over || received.includes(part));
      if (!received.includes(part)) throw new Error(`connection ended without ${part}, after ${received}`);
      return received;
    },
    async ended() {
      await when(() => over);
      await nextTurn();
      return received;
    },
    send: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
  };
}
