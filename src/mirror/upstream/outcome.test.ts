import { expect, it } from 'vitest';
import { failureOf, kindOf } from './outcome.ts';

it('who has a token and may not see something at Docker Hub is told that it is missing', () => {
  expect(kindOf(401, 'registry-1.docker.io', true)).toBe('missing');
  // The login itself failed, or somebody is kept out for other reasons.
  expect(kindOf(401, 'registry-1.docker.io', false)).toBe('denied');
  expect(kindOf(403, 'registry-1.docker.io', true)).toBe('denied');
  expect(kindOf(401, 'ghcr.io', true)).toBe('denied');
  expect(kindOf(401, 'docker.io.example.com', true)).toBe('denied');
});

it('a failure is said in a few words', () => {
  expect(failureOf(Object.assign(new Error('connect ECONNREFUSED 1.2.3.4:5'), { code: 'ECONNREFUSED' }))).toBe(
    'connect ECONNREFUSED 1.2.3.4:5',
  );
  expect(failureOf(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED');
  expect(failureOf(undefined)).toBe('failed');
});
