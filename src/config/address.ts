/** Where a TCP server listens, or where one is reached. */
export interface Address {
  /** A name or an IP address without brackets; undefined: every address of the machine. */
  readonly host: string | undefined;
  /** 0 lets the system choose one. */
  readonly port: number;
}

/** The service names that are seen in this place; Go looks up others in /etc/services. */
const namedPorts: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
]);

/**
 * Splits an address as Go's `net.Listen` takes it: `:5000`, `127.0.0.1:5000`, `[::1]:5000`, `localhost:http`.
 *
 * @returns undefined when `text` is none
 */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([\w.-]*)):(\w+)$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, portText = ''] = match;
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : namedPorts.get(portText);
  if (port === undefined || port > 65_535) return undefined;
  const host = bracketed ?? plain;
  return { host: host === '' ? undefined : host, port };
}
