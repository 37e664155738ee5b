import { describe, expect, it } from 'vitest';
import { originOf } from './origin.ts';

function origin(headers: Record<string, string>, encrypted = false, configured?: string): string {
  return originOf({ header: (name) => headers[name], encrypted }, configured);
}

describe('originOf', () => {
  it.each<[string, Record<string, string>, string]>([
    ['the own host', { host: 'registry:5000' }, 'http://registry:5000'],
    ['X-Forwarded-Proto', { host: 'r', 'x-forwarded-proto': 'https' }, 'https://r'],
    [
      'the first of several hosts',
      { host: 'i', 'x-forwarded-host': 'a.example:8443, b', 'x-forwarded-proto': 'https,http' },
      'https://a.example:8443',
    ],
    [
      'Forwarded before X-Forwarded',
      { host: 'i', forwarded: 'for=1.2.3.4;proto=https;host="a:1", host=b', 'x-forwarded-host': 'c' },
      'https://a:1',
    ],
    ['IPv6', { host: '[::1]:5000' }, 'http://[::1]:5000'],
    ['no host that is none', { host: 'r', 'x-forwarded-host': 'evil/path"' }, 'http://r'],
    ['no scheme that is none', { host: 'r', 'x-forwarded-proto': 'javascript' }, 'http://r'],
    ['no bad port', { host: 'r', 'x-forwarded-host': 'a:port' }, 'http://r'],
    ['no port that is none', { host: 'r', 'x-forwarded-host': 'a:99999' }, 'http://r'],
    ['nothing at all', {}, 'http://localhost'],
  ])('believes %s', (_, headers, expected) => {
    expect(origin(headers)).toBe(expected);
  });

  it('uses the own connection and the configured host', () => {
    expect(origin({ host: 'r' }, true)).toBe('https://r');
    expect(origin({ host: 'r', 'x-forwarded-host': 'x' }, true, 'https://public.example')).toBe(
      'https://public.example',
    );
  });
});
