import { describe, expect, test } from 'vitest';
import { createClientAddress } from './client-address.ts';

describe('a request comes from', () => {
  const addressOf = createClientAddress(['10.0.0.0/8', '192.168.1.1', 'fd00::/8']);

  test.each([
    ['its peer, who is no proxy', '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['where a trusted proxy says', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    [
      'where the first of several trusted proxies says',
      '10.1.2.3',
      '198.51.100.1, 192.168.1.1, 10.9.9.9',
      '198.51.100.1',
    ],
    ['the last that is not trusted, whatever it says itself', '10.1.2.3', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['a trusted proxy that says nothing', '10.1.2.3', undefined, '10.1.2.3'],
    ['a trusted proxy that says no address', '10.1.2.3', 'unknown', '10.1.2.3'],
    ['a proxy itself, when there are only proxies', '10.1.2.3', '10.0.0.1', '10.0.0.1'],
    ['where a proxy of IPv6 says', 'fd12::1', '2001:db8::7', '2001:db8::7'],
    ['where a proxy of IPv4 within IPv6 says', '::ffff:10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['where the other end of a socket in the file system says', '', '198.51.100.1', '198.51.100.1'],
  ])('%s', (_, peer, header, expected) => {
    expect(addressOf(peer, header)).toBe(expected);
  });

  test('its peer, when no proxy is trusted', () => {
    expect(createClientAddress([])('10.1.2.3', '198.51.100.1')).toBe('10.1.2.3');
  });
});
