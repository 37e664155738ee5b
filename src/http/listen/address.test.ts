import { describe, expect, test } from 'vitest';
import { explainListenFault, formatAddress, formatUrl, parseTcpAddress } from './address.ts';
import { ListenError } from './listen-error.ts';

describe('an address', () => {
  test.each([
    [':5000', undefined, 5000],
    ['127.0.0.1:5000', '127.0.0.1', 5000],
    ['0.0.0.0:80', '0.0.0.0', 80],
    ['localhost:5000', 'localhost', 5000],
    ['registry.example:65535', 'registry.example', 65_535],
    ['[::1]:5000', '::1', 5000],
    ['[::]:0', '::', 0],
    ['[fe80::1%eth0]:5000', 'fe80::1%eth0', 5000],
  ])('is read as Go reads it: %s', (addr, host, port) => {
    expect(parseTcpAddress(addr)).toEqual({ host, port });
  });

  test.each(['', '5000', 'localhost', '::1:5000', ':65536', ':http', ':-1', '[::1]', '/run/berth.sock', 'a b:1x'])(
    'is refused when it cannot be understood: "%s"',
    (addr) => {
      expect(() => parseTcpAddress(addr)).toThrow(ListenError);
    },
  );

  test('is shown with brackets around IPv6, and as localhost where it means all interfaces', () => {
    const v6 = { address: '::1', family: 'IPv6', port: 5000 };
    expect(formatAddress(v6)).toBe('[::1]:5000');
    expect(formatUrl('https', v6)).toBe('https://[::1]:5000');
    expect(formatUrl('http', { address: '::', family: 'IPv6', port: 5000 })).toBe('http://localhost:5000');
    expect(formatUrl('http', { address: '127.0.0.1', family: 'IPv4', port: 80 })).toBe('http://127.0.0.1:80');
  });
});

test.each([
  ['EADDRINUSE', 'ADDRESS_IN_USE', 'another process uses it; stop that one or choose another http.debug.addr'],
  ['EACCES', 'ADDRESS_DENIED', 'CAP_NET_BIND_SERVICE'],
  ['EADDRNOTAVAIL', 'ADDRESS_UNAVAILABLE', 'no such address'],
  ['ENOTFOUND', 'ADDRESS_UNAVAILABLE', 'no such address'],
])('a fault %s names the address and what to do', (code, expected, hint) => {
  const fault = Object.assign(new Error(code), { code });
  const explained = explainListenFault(fault, 'host:80', 'http.debug.addr');
  expect(explained).toMatchObject({ code: expected, cause: fault });
  expect(String(explained)).toContain('host:80');
  expect(String(explained)).toContain(hint);
});
