import type { KeyObject } from 'node:crypto';
import { errors, type JWTHeaderParameters, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { tryParseRepositoryName } from '../../oci/name.ts';
import type { Access, AccessController } from '../access.ts';
import { type BearerFault, bearerChallenge } from '../challenge.ts';
import { parseAuthorization } from '../credentials.ts';
import { covers } from '../scope.ts';
import { keyOfChain, type Trust } from './trust.ts';

/** Clocks differ; as in distribution. In seconds. */
const leeway = 60;

/** Tokens that were found good. */
const remembered = 10_000;

export interface ExternalAccessOptions {
  /** Where clients get tokens, by the origin under which they reached us. */
  readonly realm: (origin: string) => string;
  readonly service: string;
  readonly issuer: string;
  readonly algorithms: readonly string[];
  /** What is in effect now. */
  readonly trust: () => Trust;
}

const claims = z.object({
  sub: z.string().optional(),
  exp: z.number(),
  access: z
    .array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) }))
    .nullish()
    .transform((list) => list ?? []),
});

interface VerifiedToken {
  readonly subject: string;
  readonly access: readonly Access[];
  /** Whether it may list all repositories. */
  readonly catalog: boolean;
}

/** Lets in who has a token of the token server that the configuration names, for what the token says. */
export function createExternalAccess(options: ExternalAccessOptions): AccessController {
  const { realm, service, issuer, algorithms, trust } = options;
  const known = new LRUCache<string, { token: VerifiedToken; expires: number; trust: Trust }>({ max: remembered });

  async function verify(text: string): Promise<VerifiedToken | undefined> {
    const before = known.get(text);
    if (before !== undefined && before.expires > Date.now() && before.trust === trust()) return before.token;
    const now = trust();
    try {
      const { payload } = await jwtVerify(text, (header) => keyFor(header, now), {
        algorithms: [...algorithms],
        issuer,
        audience: service,
        clockTolerance: leeway,
        requiredClaims: ['exp'],
      });
      const { sub = '', exp, access } = claims.parse(payload);
      const granted = access.flatMap(toAccess);
      const token = { subject: sub, access: granted, catalog: granted.some(({ type }) => type === 'registry') };
      known.set(text, { token, expires: (exp + leeway) * 1000, trust: now });
      return token;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof z.ZodError || error instanceof TypeError)
        return undefined;
      throw error;
    }
  }

  return {
    async authorize({ authorization, origin }, access) {
      const refuse = (fault?: BearerFault) =>
        bearerChallenge({ realm: realm(origin), service, access: access.filter((item) => !isSearch(item)), fault });
      let text: string | undefined;
      try {
        const credentials = parseAuthorization(authorization);
        if (credentials?.scheme === 'bearer') text = credentials.token;
      } catch {
        throw refuse('invalid_token');
      }
      if (text === undefined) throw refuse();
      const token = await verify(text);
      if (token === undefined) throw refuse('invalid_token');
      if (!access.every((item) => isSearch(item) || covers(token.access, item))) throw refuse('insufficient_scope');
      return {
        subject: token.subject,
        allows: (item) => covers(token.access, item),
        sees: (name) => token.catalog || covers(token.access, { type: 'repository', name, actions: ['pull'] }),
      };
    },
  };
}

/**
 * The key that the header names, by its id or by a chain of certificates that leads to a root of ours. A key that the
 * header brings along (`jwk`) proves nothing and is not looked at (CVE-2025-24976).
 */
function keyFor({ kid, x5c }: JWTHeaderParameters, trust: Trust): KeyObject {
  const key =
    (x5c === undefined ? undefined : keyOfChain(x5c, trust.roots, new Date())) ??
    (kid === undefined ? undefined : trust.keys.get(kid));
  if (key === undefined) throw new errors.JWKSNoMatchingKey();
  return key;
}

function isSearch({ type, name }: Access): boolean {
  return type === 'registry' && name === 'search';
}

/** What a claim grants, as far as it means something here. Actions in any order, `*` for all. */
function toAccess({ type, name, actions }: z.output<typeof claims>['access'][number]): Access[] {
  if (type === 'registry') return name === 'catalog' && actions.includes('*') ? [{ type, name, actions: ['*'] }] : [];
  const repository = type.replace(/\(.*\)$/, '') === 'repository' ? tryParseRepositoryName(name) : undefined;
  if (repository === undefined) return [];
  const held = (['pull', 'push', 'delete'] as const).filter(
    (action) => actions.includes(action) || actions.includes('*'),
  );
  return [{ type: 'repository', name: repository, actions: held }];
}
