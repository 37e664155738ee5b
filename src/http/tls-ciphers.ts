import { getCiphers } from 'node:tls';
import { ListenError } from './listen/listen-error.ts';
import type { Log } from './log.ts';

/** Go's names of the suites that distribution's `http.tls.ciphersuites` takes, and what OpenSSL calls them. */
const names: Readonly<Record<string, string>> = {
  TLS_RSA_WITH_3DES_EDE_CBC_SHA: 'DES-CBC3-SHA',
  TLS_RSA_WITH_AES_128_CBC_SHA: 'AES128-SHA',
  TLS_RSA_WITH_AES_256_CBC_SHA: 'AES256-SHA',
  TLS_RSA_WITH_AES_128_GCM_SHA256: 'AES128-GCM-SHA256',
  TLS_RSA_WITH_AES_256_GCM_SHA384: 'AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 'ECDHE-ECDSA-AES128-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 'ECDHE-ECDSA-AES256-SHA',
  TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA: 'ECDHE-RSA-DES-CBC3-SHA',
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: 'ECDHE-RSA-AES128-SHA',
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: 'ECDHE-RSA-AES256-SHA',
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
};

/** The suites of TLS 1.3 have one name everywhere. As in Go they are always on: the setting is about older versions. */
const tls13 = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'];

/** Forward secrecy and authenticated encryption only. */
const defaults = [
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
];

/**
 * OpenSSL's cipher list for suites in Go's names; none: a sound default. Suites that this build of OpenSSL no longer has
 * are left out with a warning.
 *
 * @throws ListenError TLS_INVALID when a name is unknown, or when no suite is left
 */
export function cipherList(suites: readonly string[], log: Log): string {
  const available = new Set(getCiphers());
  const chosen: string[] = [];
  for (const suite of suites.length === 0 ? defaults : suites) {
    if (tls13.includes(suite)) continue;
    const name = Object.hasOwn(names, suite) ? names[suite] : undefined;
    if (name === undefined) {
      const known = [...Object.keys(names), ...tls13].join(', ');
      throw new ListenError('TLS_INVALID', `http.tls.ciphersuites: "${suite}" is unknown; known are ${known}`);
    }
    if (available.has(name.toLowerCase())) chosen.push(name);
    else log.warn('left out a cipher suite that is too weak to be supported', { suite });
  }
  if (chosen.length === 0 && !suites.some((suite) => tls13.includes(suite))) {
    throw new ListenError('TLS_INVALID', `http.tls.ciphersuites: none of ${suites.join(', ')} is supported any more`);
  }
  return [...tls13, ...chosen].join(':');
}
