import { describe, expect, test } from 'vitest';
import { parseAddress } from './config/address.ts';
import { parseTcpAddress } from './http/listen/address.ts';
import { parseTarget } from './observe/health/checks.ts';

// Three folders read addresses, and none may import another: what the configuration admits, the others must take.
describe('an address means the same to the configuration, the listener and the health checks', () => {
  test.each([
    [':5000', undefined, 5000],
    ['127.0.0.1:5000', '127.0.0.1', 5000],
    ['localhost:65535', 'localhost', 65_535],
    ['my_host-1.example:80', 'my_host-1.example', 80],
    ['[::1]:5000', '::1', 5000],
    ['[::]:1', '::', 1],
    ['[::ffff:10.0.0.1]:80', '::ffff:10.0.0.1', 80],
    ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80],
    ['[fe80::1%br-0.1]:80', 'fe80::1%br-0.1', 80],
  ])('%s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
    expect(parseTcpAddress(text)).toEqual({ host, port });
    expect(parseTarget(text)).toEqual({ host: host ?? 'localhost', port });
  });

  test.each([
    '',
    ':',
    '5000',
    'localhost',
    ':https',
    'db:http',
    '::1:5000',
    '[::1]',
    '[::1]5000',
    '[localhost]:80',
    '[]:80',
    ':65536',
    ':-1',
    ':0x50',
    ':000080',
    'a b:80',
    'a/b:80',
    'bücher.example:80',
    '/run/berth.sock',
    ':80\n',
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeUndefined();
    expect(() => parseTcpAddress(text)).toThrow();
    expect(() => parseTarget(text)).toThrow();
  });
});
