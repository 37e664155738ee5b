import { beforeEach, expect, test } from 'vitest';
import { EndpointBreakers, type RepositoryPass } from './breakers.ts';

let time = 0;
let states: string[] = [];
let breakers: EndpointBreakers;

beforeEach(() => {
  time = 1_000_000;
  states = [];
  breakers = new EndpointBreakers({
    failures: 3,
    firstPause: 1_000,
    longestPause: 4_000,
    now: () => time,
    onChange: ({ state }) => states.push(state),
  });
});

function enter(repository: string): RepositoryPass {
  const pass = breakers.enter(repository);
  if ('kind' in pass) throw new Error(`refused: ${pass.kind}`);
  return pass;
}

const err = (repository: string, times = 1) => {
  for (let count = 0; count < times; count += 1) enter(repository).erred();
};

test('errors about one repository keep requests from it alone', () => {
  enter('bad').gave();
  err('bad', 3);
  expect(breakers.enter('bad')).toEqual({ kind: 'unreachable', retryAt: time + 1_000 });
  enter('good').gave();
  expect(breakers.enter('bad')).toMatchObject({ kind: 'unreachable' });
  expect(states).toEqual([]);
  time += 1_000;
  err('bad');
  expect(breakers.enter('bad')).toEqual({ kind: 'unreachable', retryAt: time + 2_000 });
  time += 2_000;
  enter('bad').gave();
  err('bad', 2);
  enter('bad');
});

test('errors about however many names that it never gave anything of say nothing of the endpoint', () => {
  for (let count = 0; count < 20; count += 1) {
    enter(`none-${count}`).answered();
    err(`none-${count}`, 3);
  }
  expect(breakers.state).toMatchObject({ state: 'closed', failures: 0 });
});

test('errors about several that it gave something of, one after the other, open it', () => {
  for (const name of ['a', 'b', 'c']) enter(name).gave();
  for (const name of ['a', 'b']) err(name, 2);
  enter('d').answered();
  for (const name of ['a', 'b']) err(name);
  expect(breakers.state.state).toBe('closed');
  err('c');
  expect(breakers.state).toEqual({ state: 'open', failures: 3, until: time + 1_000 });
  expect(breakers.enter('d')).toMatchObject({ kind: 'unreachable' });
  time += 1_000;
  enter('d').answered();
  expect(states).toEqual(['open', 'probing', 'closed']);
});

test('connections that fail open it, for whatever repository', () => {
  for (const name of ['a', 'a', 'b']) enter(name).failed();
  expect(breakers.enter('c')).toEqual({ kind: 'unreachable', retryAt: time + 1_000 });
});

test('a probe that is answered with an error of a name that makes it fail says nothing, and lets another one go', () => {
  for (let count = 0; count < 3; count += 1) enter('a').failed();
  time += 1_000;
  err('none');
  enter('a').gave();
  expect(breakers.state.state).toBe('closed');
});

test('who is refused for the whole endpoint has not probed its repository', () => {
  err('a', 3);
  expect(enter('b').throttled(time + 60_000)).toBe(time + 60_000);
  time += 1_000;
  expect(breakers.enter('a')).toEqual({ kind: 'throttled', retryAt: time + 59_000 });
  time += 59_000;
  enter('a').gave();
});
