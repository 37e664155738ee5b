import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';

/** A proxy on this machine, which takes every host for one port of this machine. */
export interface ConnectProxy {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** What it was asked to connect to: `registry.example:443`. */
  readonly tunnels: string[];
  close(): Promise<void>;
}

export async function startConnectProxy(port: number): Promise<ConnectProxy> {
  const tunnels: string[] = [];
  const server = createServer();
  server.on('connect', (request, socket, head) => {
    tunnels.push(request.url ?? '');
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.write(head);
      socket.pipe(onward).pipe(socket);
    });
    for (const each of [socket, onward]) {
      each.on('error', () => undefined);
      each.on('close', () => (each === socket ? onward : socket).destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    tunnels,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
