import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** A line to a far away registry: all connections over it share its speed. */
export interface Line {
  readonly port: number;
  readonly url: string;
  close(): void;
}

/** @param to a port of 127.0.0.1 @param speed of what comes from there, in bytes per second */
export async function startLine(to: number, speed: number): Promise<Line> {
  const open = new Set<Socket>();
  /** When all that was sent so far has gone through. */
  let free = 0;
  const carry = async (from: Socket, onward: Socket) => {
    for await (const chunk of from) {
      free = Math.max(free, performance.now()) + (1000 * chunk.length) / speed;
      const late = free - performance.now();
      // Timers are not finer than this; what is less waits with the next one.
      if (late > 2) await wait(late);
      if (!onward.write(chunk)) await new Promise((resolve) => onward.once('drain', resolve).once('close', resolve));
    }
    onward.end();
  };
  const server = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    for (const socket of [near, far]) {
      open.add(socket);
      socket.setNoDelay().on('error', () => undefined);
      socket.once('close', () => {
        open.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    carry(far, near).catch(() => near.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
