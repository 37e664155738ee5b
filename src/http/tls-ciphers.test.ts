import { getCiphers } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { createRecordingLog } from './listen/testing/recording-log.ts';
import { cipherList } from './tls-ciphers.ts';

const log = createRecordingLog();

describe('a list of cipher suites', () => {
  test('keeps the order of the setting', () => {
    const suites = ['ECDHE-RSA-CHACHA20-POLY1305', 'ECDHE-RSA-AES128-GCM-SHA256'];
    expect(cipherList(suites, log)).toMatch(/:ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256$/);
  });

  test('keeps TLS 1.3 on, which it is not about', () => {
    expect(cipherList(['AES128-SHA'], log)).toMatch(/^TLS_AES_128_GCM_SHA256:.*:AES128-SHA$/);
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

  test('leaves out what OpenSSL lacks, says so, and needs one that is left', () => {
    expect(cipherList(['DES-CBC3-SHA', 'ECDHE-RSA-AES128-GCM-SHA256'], log)).not.toContain('DES');
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', fields: { suite: 'DES-CBC3-SHA' } }));
    expect(() => cipherList(['DES-CBC3-SHA'], log)).toThrow(/has none of DES-CBC3-SHA/);
  });
});
