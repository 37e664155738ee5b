import { LRUCache } from 'lru-cache';
import type { RepositoryName } from '../../oci/name.ts';
import type { Access, Action } from '../access.ts';
import { formatIdentity, type Identity } from '../identity.ts';
import { createGlob, type Glob, ownName } from './glob.ts';

/** What a rule allows. Whoever may push may pull; `admin` has everything. */
export type PolicyAction = Action | 'catalog' | 'admin';

/** One entry of the policy: it gives, and never takes away. */
export interface Rule {
  /** Patterns, see {@link createGlob}; `{name}` is the name of the user who asks. */
  readonly repositories: readonly string[];
  /** `anonymous` (everybody), `users` (who has a password), `group:<name>`, or a pattern of identities: `token:ci-*`. */
  readonly who: readonly string[];
  readonly actions: readonly PolicyAction[];
}

export interface PolicyOptions {
  readonly rules: readonly Rule[];
  /** Patterns of identities by the name of the group. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
}

/** What one identity may do. */
export interface Rights {
  allows(access: Access): boolean;
}

/** What the policy says of one question, with the rules that say it. */
export interface Explanation {
  readonly allowed: boolean;
  /** Index of each rule that is about this caller, whether it has the repository, and whether it has the action. */
  readonly rules: readonly { readonly index: number; readonly repository: boolean; readonly action: boolean }[];
}

/**
 * Who may do what: the union of what all rules give. No rule takes anything away, so their order is of no account, and one
 * rule that says yes is enough; what no rule gives is denied.
 */
export class Policy {
  readonly #rules: readonly { readonly rule: Rule; readonly isAbout: (identity: Identity | undefined) => boolean }[];

  /** By identity: most requests come from few. */
  readonly #known = new LRUCache<string, Rights>({ max: 1_000 });

  constructor({ rules, groups }: PolicyOptions) {
    const members = new Map(Object.entries(groups).map(([name, list]) => [name, list.map(createGlob)]));
    this.#rules = rules.map((rule) => {
      const tests = rule.who.map((who) => compileWho(who, members));
      return { rule, isAbout: (identity) => tests.some((test) => test(identity)) };
    });
  }

  /** Whether anything at all is open to everybody. */
  get admitsAnonymous(): boolean {
    return this.#rules.some(({ isAbout }) => isAbout(undefined));
  }

  rightsOf(identity: Identity | undefined): Rights {
    const key = identity === undefined ? '' : JSON.stringify(identity);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const rights = this.#compile(identity);
    this.#known.set(key, rights);
    return rights;
  }

  #compile(identity: Identity | undefined): Rights {
    const name = nameIn(identity);
    const given = this.#rules
      .filter(({ isAbout }) => isAbout(identity))
      .map(({ rule }) => compileGrant(rule.repositories, rule.actions, name));
    const own = (identity?.grants ?? []).map((grant) => compileGrant(grant.repositories, grant.actions, name));
    const grants = [...given, ...own];
    const limits = identity?.limits?.map((limit) => compileGrant(limit.repositories, limit.actions, name));
    return {
      allows({ type, name, actions }) {
        if (type === 'registry') {
          // A search shows what the caller may pull: nothing to somebody whom no rule is about.
          if (name === 'search') return identity !== undefined || given.length > 0;
          return grants.some((grant) => grant.has('catalog'));
        }
        const held = (list: readonly CompiledGrant[], action: Action) =>
          list.some((grant) => grant.has(action) && grant.covers(name));
        return actions.every((action) => held(grants, action) && (limits === undefined || held(limits, action)));
      },
    };
  }

  explain(identity: Identity | undefined, name: RepositoryName, action: PolicyAction): Explanation {
    const rules = this.#rules.flatMap(({ rule, isAbout }, index) => {
      if (!isAbout(identity)) return [];
      const grant = compileGrant(rule.repositories, rule.actions, nameIn(identity));
      // Listing is not about one repository.
      return [{ index, repository: action === 'catalog' || grant.covers(name), action: grant.has(action) }];
    });
    const rights = this.rightsOf(identity);
    const allowed =
      action === 'catalog'
        ? rights.allows({ type: 'registry', name: 'catalog', actions: ['*'] })
        : action === 'admin'
          ? rules.some((rule) => rule.repository && rule.action) && identity?.limits === undefined
          : rights.allows({ type: 'repository', name, actions: [action] });
    return { allowed, rules };
  }
}

interface CompiledGrant {
  has(action: PolicyAction): boolean;
  covers(name: string): boolean;
}

function compileGrant(
  repositories: readonly string[],
  actions: readonly PolicyAction[],
  name: string | undefined,
): CompiledGrant {
  const globs = repositories.flatMap((pattern): Glob[] => {
    if (!pattern.includes(ownName)) return [createGlob(pattern)];
    return name === undefined ? [] : [createGlob(pattern.replaceAll(ownName, name))];
  });
  const all = new Set<PolicyAction>(actions);
  if (all.has('push')) all.add('pull');
  return {
    has: (action) => all.has(action) || all.has('admin'),
    covers: (repository) => globs.some((glob) => glob(repository)),
  };
}

/** The name that `{name}` stands for: of a user, and only where it can be part of a repository's name. */
function nameIn(identity: Identity | undefined): string | undefined {
  return identity?.kind === 'user' && /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(identity.name) ? identity.name : undefined;
}

function compileWho(
  who: string,
  groups: ReadonlyMap<string, readonly Glob[]>,
): (identity: Identity | undefined) => boolean {
  if (who === 'anonymous') return () => true;
  if (who === 'users') return (identity) => identity?.kind === 'user';
  const members = who.startsWith('group:') ? (groups.get(who.slice('group:'.length)) ?? []) : [createGlob(who)];
  return (identity) => {
    if (identity === undefined) return false;
    const text = formatIdentity(identity);
    return members.some((member) => member(text));
  };
}
