import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { type HeaderValue, textOf } from '../header-value.ts';

export function fileCheck(path: string) {
  return async function checkFile(): Promise<void> {
    try {
      await stat(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    throw new Error('file exists');
  };
}

export interface HttpTarget {
  uri: string;
  headers: Readonly<Record<string, readonly HeaderValue[]>>;
  statuscode: number;
}

export function httpCheck({ uri, headers, statuscode }: HttpTarget) {
  return async function checkHttp(signal: AbortSignal): Promise<void> {
    const fields = Object.entries(headers).flatMap(([name, values]) =>
      values.map((value): [string, string] => [name, textOf(value)]),
    );
    const { status } = await fetch(uri, { method: 'HEAD', headers: fields, signal });
    if (status !== statuscode) throw new Error(`answered with status ${status} instead of ${statuscode}`);
  };
}

const addressForm = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([\w.-]*)):(\d{1,5})$/;

/**
 * Where a check connects: `host:port`, with brackets around IPv6, and without a host this machine.
 *
 * @throws TypeError when `addr` is no address
 */
export function parseTarget(addr: string): { host: string; port: number } {
  const match = addressForm.exec(addr);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new TypeError(`not an address: ${addr}`);
  return { host: match[1] ?? (match[2] || 'localhost'), port };
}

/** @param addr as {@link parseTarget} reads it */
export function tcpCheck(addr: string) {
  const { host, port } = parseTarget(addr);
  return function checkTcp(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, signal });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.destroy();
        resolve();
      });
    });
  };
}
