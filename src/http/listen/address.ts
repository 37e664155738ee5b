import type { AddressInfo } from 'node:net';
import { errorCode, ListenError } from './listen-error.ts';

/** Where to listen with TCP. */
export interface TcpAddress {
  /** Undefined: all interfaces, IPv6 and IPv4. */
  host: string | undefined;
  port: number;
}

const form = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([\w.-]*)):(\d{1,5})$/;

/**
 * Reads an address as Go writes it: `:5000`, `127.0.0.1:5000`, `localhost:5000`, `[::1]:5000`. Port 0 takes any free one.
 *
 * @throws ListenError ADDRESS_INVALID
 */
export function parseTcpAddress(addr: string): TcpAddress {
  const match = form.exec(addr);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new ListenError('ADDRESS_INVALID', `cannot listen on "${addr}": expected host:port, [ipv6]:port or :port`);
  }
  return { host: match[1] ?? (match[2] || undefined), port };
}

/** `host:port`, with brackets around IPv6. */
export function formatAddress({ address, family, port }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A URL under which this machine reaches the address. */
export function formatUrl(scheme: 'http' | 'https', info: AddressInfo): string {
  const everywhere = info.address === '::' || info.address === '0.0.0.0';
  return `${scheme}://${everywhere ? `localhost:${info.port}` : formatAddress(info)}`;
}

/** Says in the operator's words why listening on `addr` failed. @param key of the configuration that has the address */
export function explainListenFault(error: unknown, addr: string, key: string): unknown {
  const cause = { cause: error };
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return new ListenError(
        'ADDRESS_IN_USE',
        `cannot listen on ${addr}: another process uses it; stop that one or choose another ${key}`,
        cause,
      );
    case 'EACCES':
    case 'EPERM':
      return new ListenError(
        'ADDRESS_DENIED',
        `cannot listen on ${addr}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, and a socket file needs a folder that exists and may be written to`,
        cause,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EAFNOSUPPORT':
      return new ListenError(
        'ADDRESS_UNAVAILABLE',
        `cannot listen on ${addr}: this machine has no such address; use one of its own, or :port for all of them`,
        cause,
      );
    default:
      return error;
  }
}
