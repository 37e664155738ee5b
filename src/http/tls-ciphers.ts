import { getCiphers } from 'node:tls';
import { ListenError } from './listen/listen-error.ts';
import type { Log } from './log.ts';

/** As in Go they are always on: the setting is about older versions. */
const tls13 = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** Forward secrecy and authenticated encryption only. */
const defaults = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
];

/**
 * OpenSSL's cipher list for suites in its own names; none: a sound default. Suites that this build of OpenSSL does not
 * have are left out with a warning.
 *
 * @throws ListenError TLS_INVALID when no suite is left
 */
export function cipherList(suites: readonly string[], log: Log): string {
  const available = new Set(getCiphers());
  const older = (suites.length === 0 ? defaults : suites).filter((suite) => !tls13.includes(suite));
  const chosen = older.filter((suite) => available.has(suite.toLowerCase()));
  for (const suite of older)
    if (!chosen.includes(suite)) log.warn('left out a cipher suite that OpenSSL lacks', { suite });
  if (older.length > 0 && chosen.length === 0) {
    throw new ListenError('TLS_INVALID', `http.tls.ciphersuites: OpenSSL has none of ${suites.join(', ')}`);
  }
  return [...tls13, ...chosen].join(':');
}
