import { type RepositoryName, tryParseRepositoryName } from '../oci/name.ts';
import type { Access, Action } from './access.ts';

const actions: readonly Action[] = ['pull', 'push', 'delete'];

/** More of them are left out: nobody is given access by being tiresome. */
const maxScopes = 100;

/** `repository:team/app:pull,push` */
export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(',')}`;
}

/**
 * Reads the `scope` parameters of a token request, in all shapes that clients send: several parameters, each a list with
 * spaces, resources twice, actions in any order, `*` for all of them, a class behind the type (`repository(plugin)`).
 * What is not known, or is no name, grants nothing and is left out.
 */
export function parseScopes(parameters: readonly string[]): Access[] {
  const repositories = new Map<RepositoryName, Set<Action>>();
  let catalog = false;
  const scopes = parameters.flatMap((parameter) => parameter.split(' ')).filter((scope) => scope !== '');
  for (const scope of scopes.slice(0, maxScopes)) {
    // The name may hold a port; type and actions hold no colon.
    const [, type = '', name = '', list = ''] = /^([a-z]+)(?:\([a-z]*\))?:(.*):([^:]*)$/.exec(scope) ?? [];
    const wanted = list.split(',');
    if (type === 'registry' && name === 'catalog') catalog ||= wanted.includes('*');
    const repository = type === 'repository' ? tryParseRepositoryName(name) : undefined;
    if (repository === undefined) continue;
    const all = repositories.get(repository) ?? new Set();
    for (const action of actions) if (wanted.includes(action) || wanted.includes('*')) all.add(action);
    repositories.set(repository, all);
  }
  const access: Access[] = [...repositories].map(([name, set]) => ({ type: 'repository', name, actions: [...set] }));
  if (catalog) access.push({ type: 'registry', name: 'catalog', actions: ['*'] });
  return access;
}

/** Whether what is granted has everything that is needed. */
export function covers(granted: readonly Access[], { type, name, actions }: Access): boolean {
  const held = granted.filter((candidate) => candidate.type === type && candidate.name === name);
  return actions.every((action) => held.some(({ actions }) => (actions as readonly string[]).includes(action)));
}
