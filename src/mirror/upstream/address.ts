import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/**
 * Where no upstream may send us, as what answers there answers to this machine only: link-local addresses, where clouds
 * have their metadata, with those metadata services that are elsewhere, and addresses that are none.
 */
const internal = new BlockList();
internal.addSubnet('0.0.0.0', 8, 'ipv4');
internal.addSubnet('169.254.0.0', 16, 'ipv4');
internal.addAddress('100.100.100.200', 'ipv4');
internal.addAddress('168.63.129.16', 'ipv4');
internal.addAddress('192.0.0.192', 'ipv4');
internal.addAddress('::', 'ipv6');
internal.addSubnet('fe80::', 10, 'ipv6');
internal.addSubnet('fd00:ec2::', 32, 'ipv6');

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * IPv6 addresses whose last four bytes are the address of IPv4 that is reached by them: compatible and mapped ones
 * (RFC 4291, 2.5.5), and those that NAT64 translates (RFC 6052; for local use RFC 8215).
 */
const translated = new BlockList();
translated.addSubnet('::', 96, 'ipv6');
translated.addSubnet('::ffff:0:0', 96, 'ipv6');
translated.addSubnet('64:ff9b::', 96, 'ipv6');
translated.addSubnet('64:ff9b:1::', 48, 'ipv6');

function isIn(list: BlockList, address: string): boolean {
  if (isIP(address) !== 6) return list.check(address, 'ipv4');
  if (list.check(address, 'ipv6')) return true;
  // Of the compatible ones, this one is none.
  if (!translated.check(address, 'ipv6') || loopback.check(address, 'ipv6')) return false;
  return list.check(lastBytesOf(address), 'ipv4');
}

/** The last four bytes of an IPv6 address, as an address of IPv4. */
function lastBytesOf(address: string): string {
  // As a URL has it: the last two groups in hexadecimal digits, unless zeros are left out.
  const host = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1);
  const [high = 0, low = 0] = host
    .replace(/::$/, ':0:0')
    .replace('::', ':0:')
    .split(':')
    .slice(-2)
    .map((group) => Number.parseInt(group || '0', 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** The address that a host of a URL is, without the brackets of IPv6; undefined: it is a name. */
function addressOf(host: string): string | undefined {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) === 0 ? undefined : bare;
}

export function isAddress(host: string): boolean {
  return addressOf(host) !== undefined;
}

/** Whether it is this machine by its name or address; names are not looked up. */
export function isLoopback(host: string): boolean {
  const address = addressOf(host);
  return address === undefined ? /^(?:.*\.)?localhost\.?$/i.test(host) : isIn(loopback, address);
}

/**
 * What may be connected to because an upstream says so, in a redirect or as a realm. An endpoint may send us where the
 * operator has sent us himself, so that one on this machine may name others on this machine.
 */
export class AddressGuard {
  readonly #mayLoop: boolean;

  /** @param endpoint host of the endpoint, as in its URL */
  constructor(endpoint: string) {
    this.#mayLoop = isLoopback(endpoint);
  }

  allows(address: string): boolean {
    return !isIn(internal, address) && (this.#mayLoop || !isIn(loopback, address));
  }

  /** Whether a host of a URL may be asked, as far as can be said without looking up its name. */
  allowsHost(host: string): boolean {
    const address = addressOf(host);
    return address === undefined ? this.#mayLoop || !isLoopback(host) : this.allows(address);
  }

  /** Looks up names for connections, so that what is looked at is what is connected to. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const allowed = addresses.filter(({ address }) => this.allows(address));
      const [first] = allowed;
      if (first === undefined) {
        callback(new Error(`${hostname} has an address of this machine or its link only`), []);
      } else if (options.all) {
        callback(null, allowed);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}
