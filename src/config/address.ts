/** Where a TCP server listens, or where one is reached. */
export interface Address {
  /** A name or an IP address without brackets; undefined: every address of the machine. */
  readonly host: string | undefined;
  /** 0 lets the system choose one. */
  readonly port: number;
}

const form = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([\w.-]*)):(\d{1,5})$/;

/**
 * Splits an address as Go's `net.Listen` takes it: `:5000`, `127.0.0.1:5000`, `[::1]:5000`. The port must be a number:
 * Go looks up names of services (`:https`) in /etc/services, which images need not have.
 *
 * @returns undefined when `text` is none
 */
export function parseAddress(text: string): Address | undefined {
  const match = form.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || undefined), port };
}
