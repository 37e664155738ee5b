import { describe, expect, test } from 'vitest';
import { parseRepositoryName } from '../../oci/name.ts';
import { type Identity, parseIdentity } from '../identity.ts';
import { createGlob } from './glob.ts';
import { Policy, type PolicyAction, type Rule } from './policy.ts';

describe('a pattern', () => {
  test.each<[string, string[], string[]]>([
    ['library/alpine', ['library/alpine'], ['library/alpine2', 'library', 'xlibrary/alpine']],
    ['library/*', ['library/alpine'], ['library', 'library/a/b', 'other/alpine']],
    ['team/**', ['team/a', 'team/a/b'], ['team', 'teams/a', 'a/team/b']],
    ['**', ['a', 'a/b/c'], []],
    ['*', ['a'], ['a/b']],
    ['**/cache', ['a/cache', 'a/b/cache'], ['cache', 'a/cache/b']],
    ['a.b/*', ['a.b/c'], ['axb/c']],
    ['user:*', ['user:alice'], ['token:alice']],
    ['oidc:ci:org/*', ['oidc:ci:org/app'], ['oidc:ci:other/app', 'oidc:cix:org/app']],
  ])('%s', (pattern, inside, outside) => {
    const glob = createGlob(pattern);
    for (const text of inside) expect(glob(text), text).toBe(true);
    for (const text of outside) expect(glob(text), text).toBe(false);
  });

  test('of many stars does not take long', () => {
    const glob = createGlob(`${'*a'.repeat(12)}**b`);
    const begun = performance.now();
    glob('a'.repeat(255));
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});

const rules: Rule[] = [
  { repositories: ['library/*'], who: ['anonymous'], actions: ['pull'] },
  { repositories: ['team-a/**'], who: ['group:a'], actions: ['push', 'delete'] },
  { repositories: ['{name}/**'], who: ['users'], actions: ['push'] },
  { repositories: ['**'], who: ['user:root'], actions: ['admin'] },
  { repositories: ['team-a/app'], who: ['oidc:github:org/app', 'certificate:node-*'], actions: ['pull'] },
  { repositories: ['**'], who: ['users'], actions: ['catalog'] },
];
const groups = { a: ['user:alice', 'token:ci-*'] };
const policy = new Policy({ rules, groups });

function may(who: string | Identity, action: PolicyAction, repository: string): boolean {
  const identity = typeof who === 'string' ? parseIdentity(who) : who;
  const rights = policy.rightsOf(identity);
  if (action === 'catalog') return rights.allows({ type: 'registry', name: 'catalog', actions: ['*'] });
  if (action === 'admin') throw new Error('admin is no action of a request');
  return rights.allows({ type: 'repository', name: parseRepositoryName(repository), actions: [action] });
}

describe('a policy', () => {
  test.each<[string, PolicyAction, string, boolean]>([
    ['anonymous', 'pull', 'library/alpine', true],
    ['anonymous', 'push', 'library/alpine', false],
    ['anonymous', 'pull', 'team-a/app', false],
    ['anonymous', 'pull', 'bob/x', false],
    ['anonymous', 'catalog', 'x', false],
    ['user:bob', 'pull', 'library/alpine', true],
    ['user:alice', 'push', 'team-a/app', true],
    ['user:alice', 'pull', 'team-a/app', true],
    ['user:alice', 'delete', 'team-a/app', true],
    ['user:bob', 'pull', 'team-a/app', false],
    ['user:bob', 'push', 'bob/tools', true],
    ['user:bob', 'delete', 'bob/tools', false],
    ['user:bob', 'push', 'alice/tools', false],
    ['user:bob', 'catalog', 'x', true],
    ['user:root', 'delete', 'anything/at/all', true],
    ['user:root', 'catalog', 'x', true],
    ['token:ci-1', 'push', 'team-a/app', true],
    ['token:other', 'push', 'team-a/app', false],
    // A robot has no place of its own, whatever it is called.
    ['token:bob', 'push', 'bob/tools', false],
    ['oidc:github:org/app', 'pull', 'team-a/app', true],
    ['oidc:github:org/app', 'push', 'team-a/app', false],
    ['oidc:github:org/other', 'pull', 'team-a/app', false],
    ['certificate:node-7', 'pull', 'team-a/app', true],
    // `users` are those with a password; a stranger's workflow is not one of them.
    ['oidc:github:bob', 'catalog', 'x', false],
  ])('says of %s and %s on %s: %s', (who, action, repository, expected) => {
    expect(may(who, action, repository)).toBe(expected);
  });

  test('is not fooled by the name of a user', () => {
    for (const name of ['**', '*', '..', 'a/b', 'Bob', '']) {
      expect(may({ kind: 'user', name }, 'pull', 'bob/tools'), name).toBe(false);
    }
  });

  test('needs all actions at once', () => {
    const rights = policy.rightsOf({ kind: 'user', name: 'bob' });
    const name = parseRepositoryName('bob/tools');
    expect(rights.allows({ type: 'repository', name, actions: ['pull', 'push'] })).toBe(true);
    expect(rights.allows({ type: 'repository', name, actions: ['pull', 'delete'] })).toBe(false);
  });

  test('adds what a robot was given, and takes from a user what a token is not for', () => {
    const grants = [{ repositories: ['ci/**'], actions: ['push' as const] }];
    expect(may({ kind: 'token', name: 'ci-1', grants }, 'push', 'ci/app')).toBe(true);
    expect(may({ kind: 'token', name: 'ci-1', grants }, 'push', 'team-a/app')).toBe(true);
    expect(may({ kind: 'token', name: 'other', grants }, 'delete', 'ci/app')).toBe(false);

    const limits = [{ repositories: ['team-a/app'], actions: ['pull' as const] }];
    expect(may({ kind: 'user', name: 'alice', limits }, 'pull', 'team-a/app')).toBe(true);
    expect(may({ kind: 'user', name: 'alice', limits }, 'push', 'team-a/app')).toBe(false);
    expect(may({ kind: 'user', name: 'alice', limits }, 'pull', 'team-a/other')).toBe(false);
    // Never more than the user has.
    expect(may({ kind: 'user', name: 'bob', limits }, 'pull', 'team-a/app')).toBe(false);
  });

  test('says which rules decide', () => {
    const { allowed, rules } = policy.explain(
      { kind: 'user', name: 'alice' },
      parseRepositoryName('team-a/app'),
      'push',
    );
    expect(allowed).toBe(true);
    expect(rules).toEqual([
      { index: 0, repository: false, action: false },
      { index: 1, repository: true, action: true },
      { index: 2, repository: false, action: true },
      { index: 5, repository: true, action: false },
    ]);
  });

  test('without rules denies everything, to everybody', () => {
    const none = new Policy({ rules: [], groups: {} });
    expect(none.admitsAnonymous).toBe(false);
    const access = { type: 'repository', name: parseRepositoryName('a'), actions: ['pull'] } as const;
    for (const identity of [undefined, { kind: 'user', name: 'root' } as const]) {
      expect(none.rightsOf(identity).allows(access)).toBe(false);
      expect(none.rightsOf(identity).allows({ type: 'registry', name: 'catalog', actions: ['*'] })).toBe(false);
    }
  });
});
