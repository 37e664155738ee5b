import { expect, test } from 'vitest';
import { parseAddress } from './address.ts';

test.each([
  [':5000', undefined, 5000],
  ['127.0.0.1:0', '127.0.0.1', 0],
  ['[::1]:5000', '::1', 5000],
  ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80],
  ['registry.example:443', 'registry.example', 443],
])('%s is an address', (text, host, port) => expect(parseAddress(text)).toEqual({ host, port }));

test.each(['', '5000', 'localhost', '::1:5000', ':65536', ':-1', ':https', 'a:http', ':', 'a b:80', '/run/berth.sock'])(
  '%j is no address',
  (text) => expect(parseAddress(text)).toBeUndefined(),
);
