import { getCiphers } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createRecordingLog } from './listen/testing/recording-log.ts';
import { cipherList } from './tls-ciphers.ts';

const log = createRecordingLog();

describe('a list of cipher suites', () => {
  test("is translated from Go's names, in order", () => {
    const suites = ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
    expect(cipherList(suites, log)).toMatch(/:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256$/);
  });

  test('keeps TLS 1.3 on, which it is not about', () => {
    expect(cipherList(['TLS_RSA_WITH_AES_128_CBC_SHA'], log)).toMatch(/^TLS_AES_128_GCM_SHA256:.*:AES128-SHA$/);
    expect(cipherList(['TLS_AES_256_GCM_SHA384'], log)).not.toContain('ECDHE');
  });

  test('defaults to suites that OpenSSL has, all with forward secrecy', () => {
    const available = new Set(getCiphers());
    const suites = cipherList([], log).split(':');
    expect(suites.length).toBe(9);
    for (const suite of suites) {
      expect(available).toContain(suite.toLowerCase());
      expect(suite).toMatch(/^(TLS_|ECDHE-)/);
    }
  });

  test('with an unknown name is refused, naming it', () => {
    expect(() => cipherList(['TLS_ECDHE_RSA_WITH_ROT13'], log)).toThrow(/ROT13" is unknown; known are TLS_/);
    expect(() => cipherList(['toString'], log)).toThrow(/unknown/);
  });

  test('leaves out what is no longer supported, and says so', () => {
    const suites = ['TLS_RSA_WITH_3DES_EDE_CBC_SHA', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
    expect(cipherList(suites, log)).not.toContain('DES');
    expect(log.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', fields: { suite: 'TLS_RSA_WITH_3DES_EDE_CBC_SHA' } }),
    );
    expect(() => cipherList(['TLS_RSA_WITH_3DES_EDE_CBC_SHA'], log)).toThrow(/none of/);
  });
});
