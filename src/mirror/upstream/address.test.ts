import { describe, expect, test } from 'vitest';
import { AddressGuard, isLoopback } from './address.ts';

const elsewhere = new AddressGuard('registry.example');
const here = new AddressGuard('127.0.0.1');

describe('an upstream elsewhere', () => {
  test.each([
    '127.0.0.1',
    '127.8.9.10',
    '0.0.0.0',
    '169.254.169.254',
    '100.100.100.200',
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    // The same of IPv4, in IPv6.
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '::127.0.0.1',
    '::7f00:1',
    '::169.254.169.254',
    '64:ff9b::127.0.0.1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::127.0.0.1',
    '64:ff9b:1:abcd::169.254.169.254',
    // 0.0.0.0
    '64:ff9b::',
  ])('may not send us to %s', (address) => {
    expect(elsewhere.allows(address)).toBe(false);
    expect(elsewhere.allowsHost(address.includes(':') ? `[${address}]` : address)).toBe(false);
  });

  test.each([
    '93.184.215.14',
    // What is in a private network is for the operator's network to keep apart.
    '10.0.0.1',
    '2606:2800:21f:cb07:6820:80da:af6b:8b2c',
    '2001:db8::127.0.0.1',
    '::ffff:93.184.215.14',
    // As DNS64 answers for a host that has IPv4 only.
    '64:ff9b::93.184.215.14',
    '64:ff9b::a00:1',
    '64:ff9b:0:1::7f00:1',
  ])('may send us to %s', (address) => {
    expect(elsewhere.allows(address)).toBe(true);
  });
});

test.each([
  ['127.0.0.1', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['64:ff9b::a9fe:a9fe', false],
  ['169.254.169.254', false],
  ['::', false],
])('an upstream on this machine and %s: %s', (address, isAllowed) => {
  expect(here.allows(address)).toBe(isAllowed);
});

test.each([
  ['localhost', true],
  ['registry.localhost', true],
  ['[::1]', true],
  ['[::7f00:1]', true],
  ['[::ffff:7f00:1]', true],
  ['registry.example', false],
  ['[::2]', false],
  ['10.0.0.1', false],
])('%s is this machine: %s', (host, is) => {
  expect(isLoopback(host)).toBe(is);
});
