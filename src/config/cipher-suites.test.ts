import { getCiphers } from 'node:tls';
import { expect, test } from 'vitest';
import { cipherSuites } from './cipher-suites.ts';

test.each(Object.entries(cipherSuites))('%s is %s for the OpenSSL of this Node', (_go, openssl) => {
  expect(getCiphers()).toContain(openssl.toLowerCase());
});
