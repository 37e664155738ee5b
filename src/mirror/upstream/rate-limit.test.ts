import { describe, expect, it } from 'vitest';
import { readRateLimit, readRetryAfter } from './rate-limit.ts';

describe('a rate limit', () => {
  it.each<[string, Record<string, string>, unknown]>([
    [
      'of Docker Hub',
      { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' },
      { limit: 100, remaining: 76, window: 21_600, at: 5 },
    ],
    [
      'with a list of policies',
      { 'ratelimit-limit': '100, 100;w=60, 1000;w=3600', 'ratelimit-remaining': '0' },
      { limit: 100, remaining: 0, window: 60, at: 5 },
    ],
    ['with half of it', { 'ratelimit-remaining': '3' }, { limit: undefined, remaining: 3, window: undefined, at: 5 }],
    ['of nonsense', { 'ratelimit-limit': 'many', 'ratelimit-remaining': '-1' }, undefined],
    ['of nothing', {}, undefined],
  ])('is read %s', (_, headers, limit) => {
    expect(readRateLimit(headers, 5)).toEqual(limit);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');

  it.each<[string | undefined, number | undefined]>([
    ['120', now + 120_000],
    [' 0 ', now],
    ['1.5', now + 1_000],
    ['Thu, 01 Jan 2026 00:01:00 GMT', now + 60_000],
    ['Thursday, 01-Jan-26 00:01:00 GMT', now + 60_000],
    ['-1', undefined],
    ['soon', undefined],
    ['Thu', undefined],
    ['', undefined],
    [undefined, undefined],
  ])('%j is read', (header, at) => {
    expect(readRetryAfter(header, now)).toBe(at);
  });
});
