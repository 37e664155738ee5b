import { BlockList, isIP } from 'node:net';

/** Says from where a request came. */
export type ClientAddress = (peer: string, forwardedFor: string | undefined) => string;

/**
 * Of proxies that are trusted, what they say of their clients is believed: of the addresses in `X-Forwarded-For` the last one
 * that is no such proxy's, since what stands before it is whatever its client likes to say.
 *
 * @param trusted addresses and networks (`10.0.0.0/8`)
 */
export function createClientAddress(trusted: readonly string[]): ClientAddress {
  if (trusted.length === 0) return (peer) => peer;
  const proxies = new BlockList();
  for (const item of trusted) {
    const [address = '', bits] = item.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) proxies.addAddress(address, family);
    else proxies.addSubnet(address, Number(bits), family);
  }
  // A socket in the file system has no address: who can open it is trusted by its owner.
  const isProxy = (address: string) => {
    const family = isIP(address);
    return address === '' || (family !== 0 && proxies.check(address, family === 6 ? 'ipv6' : 'ipv4'));
  };

  return (peer, forwardedFor) => {
    const hops = (forwardedFor ?? '').split(',').map((hop) => hop.trim());
    let address = peer;
    while (isProxy(address)) {
      const hop = hops.pop();
      if (hop === undefined || isIP(hop) === 0) break;
      address = hop;
    }
    return address;
  };
}
