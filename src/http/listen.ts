import { type AddressInfo, Server as NetServer, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { formatAddress, formatUrl } from './listen/address.ts';
import { type BindOptions, bind } from './listen/bind.ts';
import { createHandler, type Fetch } from './listen/handler.ts';
import { createHttp1 } from './listen/http1.ts';
import { createHttp2 } from './listen/http2.ts';
import { sniffHttp2 } from './listen/sniff.ts';
import { defaultTimeouts, type Timeouts } from './listen/timeouts.ts';
import type { Log } from './log.ts';
import { loadCertificates, type TlsOptions } from './tls.ts';

export interface ListenOptions extends BindOptions {
  /** Absent: clear text. */
  tls?: TlsOptions | undefined;
  /** HTTP/2 over TLS, which clients choose in the handshake. */
  http2?: { disabled?: boolean | undefined } | undefined;
  /** HTTP/2 in clear text, for clients that know beforehand. Without meaning under TLS. */
  h2c?: { enabled?: boolean | undefined } | undefined;
  timeouts?: Partial<Timeouts> | undefined;
  log: Log;
}

export interface Listening {
  /** `host:port`, or the path of the socket. */
  readonly address: string;
  /** Where this machine reaches the server; `unix:` and the path for a socket. */
  readonly url: string;
  /** Reads the certificates again. Never rejects: what cannot be used is logged, and what was in use stays. */
  reload(): Promise<void>;
  /**
   * Stops listening and closes idle connections at once, lets running requests go on for at most `timeout` milliseconds
   * (0: not at all), and then cuts the rest; to a handler that looks like a client that went away.
   */
  drain(timeout: number): Promise<void>;
}

/**
 * Serves an application, such as a Hono `app.fetch`, over HTTP/1.1 and HTTP/2. Handlers find Node's request and response
 * in `c.env.incoming` and `c.env.outgoing`.
 *
 * @throws ListenError
 */
export async function listen(fetch: Fetch, options: ListenOptions): Promise<Listening> {
  const { log } = options;
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const handle = createHandler(fetch, log);
  const certificates = options.tls && (await loadCertificates(options.tls, log));
  const offersHttp2 = certificates === undefined ? options.h2c?.enabled === true : options.http2?.disabled !== true;

  const tls = certificates && {
    ...certificates.server,
    ALPNProtocols: offersHttp2 ? ['h2', 'http/1.1'] : ['http/1.1'],
    handshakeTimeout: timeouts.header,
  };
  const http1 = createHttp1({ handle, tls, timeouts, log });
  const http2 = createHttp2({ handle, timeouts, log });
  const { server } = http1;

  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    if (certificates !== undefined) return;
    if (offersHttp2) sniffHttp2(socket, timeouts.header, (is2) => (is2 ? http2 : http1).serve(socket));
    else http1.serve(socket);
  });
  server.on('secureConnection', (socket: TLSSocket) => {
    if (certificates?.admits(socket) !== true) socket.destroy();
    else if (socket.alpnProtocol === 'h2') http2.serve(socket);
    else http1.serve(socket);
  });
  await bind(server, options);
  server.on('error', (error) => log.error('the listening socket failed', { error }));
  certificates?.watch((context) => 'setSecureContext' in server && server.setSecureContext(context));
  const info = server.address();

  const drain = async (timeout: number) => {
    certificates?.close();
    const closed = new Promise((resolve) => server.once('close', resolve));
    // Not the HTTP server's own close, which cuts answers that are ended but not yet sent.
    NetServer.prototype.close.call(server);
    if (timeout > 0) await settledWithin(timeout, Promise.all([http1.drain(), http2.drain()]));
    for (const socket of sockets) socket.destroy();
    await closed;
    server.close(); // Only this one ends the timer that looks for slow headers.
  };
  let draining: Promise<void> | undefined;

  return {
    ...describe(info, options.addr, tls === undefined ? 'http' : 'https'),
    reload: async () => certificates?.reload(),
    drain(timeout) {
      draining ??= drain(timeout);
      return draining;
    },
  };
}

function describe(info: AddressInfo | string | null, addr: string, scheme: 'http' | 'https') {
  if (typeof info !== 'object' || info === null) return { address: addr, url: `unix:${addr}` };
  return { address: formatAddress(info), url: formatUrl(scheme, info) };
}

/** Waits for `work`, but not longer than `timeout` milliseconds. */
async function settledWithin(timeout: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeout);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
