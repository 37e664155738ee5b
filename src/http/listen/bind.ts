import { once } from 'node:events';
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, type ListenOptions as NodeListenOptions, type Server } from 'node:net';
import { explainListenFault, parseTcpAddress } from './address.ts';
import { errorCode, ListenError } from './listen-error.ts';

/** Connections that wait to be accepted: a whole cluster may start to pull in the same second. */
const backlog = 4096;

export interface BindOptions {
  /** With `tcp` as {@link parseTcpAddress} reads it, with `unix` the path of the socket. */
  addr: string;
  /** Default tcp. */
  net?: 'tcp' | 'unix' | undefined;
  /** Permission bits of the socket file. Default: as the umask leaves them. */
  mode?: number | undefined;
  /** Which key of the configuration has `addr`, for messages. Default `http.addr`. */
  key?: string | undefined;
}

/**
 * Makes `server` listen. A socket file is removed again when the server closes.
 *
 * @throws ListenError
 */
export async function bind(server: Server, { addr, net = 'tcp', mode, key = 'http.addr' }: BindOptions): Promise<void> {
  try {
    if (net === 'unix') {
      await bindUnix(server, addr, key);
      if (mode !== undefined) await chmod(addr, mode);
    } else {
      const { host, port } = parseTcpAddress(addr);
      await start(server, { port, backlog, ...(host === undefined ? {} : { host }) });
    }
  } catch (error) {
    server.close();
    throw explainListenFault(error, addr, key);
  }
}

async function bindUnix(server: Server, path: string, key: string): Promise<void> {
  try {
    await start(server, { path, backlog });
  } catch (error) {
    // Not looked at before: worker processes of one server share the socket, and for them listening succeeds.
    if (errorCode(error) !== 'EADDRINUSE') throw error;
    await removeStaleSocket(path, key);
    await start(server, { path, backlog });
  }
}

async function start(server: Server, options: NodeListenOptions): Promise<void> {
  server.listen(options);
  await once(server, 'listening');
}

/** A server that was killed leaves its socket file behind. It is removed when it is a socket and nobody answers there. */
async function removeStaleSocket(path: string, key: string): Promise<void> {
  if (!(await lstat(path)).isSocket()) {
    throw new ListenError('ADDRESS_IN_USE', `cannot listen on ${path}: it exists and is not a socket`);
  }
  const probe = connect(path);
  try {
    await once(probe, 'connect');
  } catch (error) {
    if (errorCode(error) !== 'ECONNREFUSED') throw error;
    await unlink(path);
    return;
  } finally {
    probe.destroy();
  }
  throw new ListenError(
    'ADDRESS_IN_USE',
    `cannot listen on ${path}: a running server answers there; stop it or choose another ${key}`,
  );
}
