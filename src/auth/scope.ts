import { z } from 'zod';
import { tryParseRepositoryName } from '../oci/name.ts';
import type { Access, Action } from './access.ts';

const known: readonly Action[] = ['pull', 'push', 'delete'];

/** More of them are left out: nobody is given access by being tiresome. */
const maxScopes = 50;

/** `repository:team/app:pull,push`; searching is an action on the catalogue, as docker asks for it. */
export function formatScope(access: Access): string {
  const { type, name, actions } = claimOf(access);
  return `${type}:${name}:${actions.join(',')}`;
}

/** As it stands in a token. */
export function claimOf(access: Access): z.output<typeof accessClaim>[number] {
  if (access.type === 'registry' && access.name === 'search') {
    return { type: 'registry', name: 'catalog', actions: ['search'] };
  }
  return { ...access, actions: [...access.actions] };
}

/** The claim `access` of distribution's tokens. */
export const accessClaim = z.array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) }));

/** How far clocks may differ, as in distribution. In seconds. */
export const leeway = 60;

/**
 * What a scope means here, in a request for a token as in a token: actions in any order, `*` for all of them, a class behind
 * the type (`repository(plugin)`). What is not known, or is no name, means nothing.
 */
export function readScope({ type, name, actions }: z.output<typeof accessClaim>[number]): Access[] {
  const has = (action: string) => actions.includes(action) || actions.includes('*');
  if (type === 'registry') {
    if (name !== 'catalog' || !has('search')) return [];
    return [{ type, name: actions.includes('*') ? 'catalog' : 'search', actions: ['*'] }];
  }
  const repository = type.replace(/\([a-z]*\)$/, '') === 'repository' ? tryParseRepositoryName(name) : undefined;
  return repository === undefined ? [] : [{ type: 'repository', name: repository, actions: known.filter(has) }];
}

/**
 * Reads the `scope` parameters of a token request, in all shapes that clients send: several parameters, each a list with
 * spaces, resources twice.
 */
export function parseScopes(parameters: readonly string[]): Access[] {
  const all = new Map<string, Access>();
  const scopes = parameters.flatMap((parameter) => parameter.split(' ')).filter((scope) => scope !== '');
  for (const scope of scopes.slice(0, maxScopes)) {
    // The name may hold a port; type and actions hold no colon.
    const [, type = '', name = '', list = ''] = /^([^:]+):(.*):([^:]*)$/.exec(scope) ?? [];
    for (const access of readScope({ type, name, actions: list.split(',') })) {
      const key = `${access.type}:${access.name}`;
      const before = all.get(key);
      if (access.type === 'registry' || before?.type !== 'repository') all.set(key, access);
      else
        all.set(key, {
          ...access,
          actions: known.filter((action) => [...before.actions, ...access.actions].includes(action)),
        });
    }
  }
  return [...all.values()];
}

/** What no token has to name. */
export function isSearch({ type, name }: Access): boolean {
  return type === 'registry' && name === 'search';
}

/** Whether what is granted has everything that is needed. */
export function covers(granted: readonly Access[], { type, name, actions }: Access): boolean {
  const held = granted.filter((candidate) => candidate.type === type && candidate.name === name);
  return actions.every((action) => held.some(({ actions }) => (actions as readonly string[]).includes(action)));
}
