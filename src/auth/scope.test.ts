import { describe, expect, test } from 'vitest';
import { tryParseRepositoryName } from '../oci/name.ts';
import type { Access } from './access.ts';
import { covers, formatScope, parseScopes } from './scope.ts';

const read = (...parameters: string[]) => parseScopes(parameters).map(formatScope);

describe('scopes are read', () => {
  test.each<[string, string[], string[]]>([
    ['one', ['repository:team/app:pull'], ['repository:team/app:pull']],
    ['actions in any order', ['repository:a:push,pull'], ['repository:a:pull,push']],
    ['all actions', ['repository:a:*'], ['repository:a:pull,push,delete']],
    ['several parameters', ['repository:a:pull', 'repository:b:pull'], ['repository:a:pull', 'repository:b:pull']],
    ['a list in one parameter', ['repository:a:pull repository:b:push'], ['repository:a:pull', 'repository:b:push']],
    ['one resource twice', ['repository:a:pull', 'repository:a:push'], ['repository:a:pull,push']],
    ['a class', ['repository(plugin):a:pull'], ['repository:a:pull']],
    ['the catalogue', ['registry:catalog:*'], ['registry:catalog:*']],
    ['nothing', ['', ' '], []],
    ['unknown actions', ['repository:a:pull,fly'], ['repository:a:pull']],
    ['no actions', ['repository:a:'], ['repository:a:']],
    ['unknown types', ['plugin:a:pull', 'registry:users:*'], []],
    ['what is no name', ['repository:../etc:pull', 'repository:A:pull', 'repository::pull', 'repository'], []],
    ['the catalogue without its action', ['registry:catalog:pull'], []],
  ])('%s', (_, parameters, expected) => {
    expect(read(...parameters)).toEqual(expected);
  });

  test('no more than fifty', () => {
    expect(read(...Array.from({ length: 500 }, (_, index) => `repository:a${index}:pull`))).toHaveLength(50);
  });
});

test('what is granted covers what is needed only as a whole', () => {
  const name = tryParseRepositoryName('a');
  const other = tryParseRepositoryName('b');
  if (name === undefined || other === undefined) throw new Error('names');
  const granted: Access[] = [{ type: 'repository', name, actions: ['pull', 'push'] }];
  expect(covers(granted, { type: 'repository', name, actions: ['pull'] })).toBe(true);
  expect(covers(granted, { type: 'repository', name, actions: ['pull', 'push'] })).toBe(true);
  expect(covers(granted, { type: 'repository', name, actions: ['delete'] })).toBe(false);
  expect(covers(granted, { type: 'repository', name, actions: ['pull', 'delete'] })).toBe(false);
  expect(covers(granted, { type: 'repository', name: other, actions: ['pull'] })).toBe(false);
  expect(covers(granted, { type: 'registry', name: 'catalog', actions: ['*'] })).toBe(false);
});
