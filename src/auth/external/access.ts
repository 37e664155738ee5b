import type { KeyObject } from 'node:crypto';
import { errors, type JWTHeaderParameters, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Access, AccessController } from '../access.ts';
import { type BearerFault, bearerChallenge } from '../challenge.ts';
import { parseAuthorization } from '../credentials.ts';
import { accessClaim, covers, isSearch, leeway, readScope } from '../scope.ts';
import { keyOfChain, type Trust } from './trust.ts';

/** Of tokens that were found good, in characters. */
const remembered = 8 * 1024 * 1024;

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
  access: accessClaim.nullish().transform((list) => list ?? []),
});

interface VerifiedToken {
  readonly subject: string;
  readonly access: readonly Access[];
}

/** Lets in who has a token of the token server that the configuration names, for what the token says. */
export function createExternalAccess(options: ExternalAccessOptions): AccessController {
  const { realm, service, issuer, algorithms, trust } = options;
  const known = new LRUCache<string, { token: VerifiedToken; expires: number; trust: Trust }>({
    maxSize: remembered,
    sizeCalculation: (_, text) => text.length,
  });

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
      const token = { subject: sub, access: access.flatMap(readScope) };
      known.set(text, { token, expires: (exp + leeway) * 1000, trust: now });
      return token;
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof z.ZodError || error instanceof TypeError)
        return undefined;
      throw error;
    }
  }

  return {
    async authorize({ authorization, origin }, access, helpful = []) {
      const refuse = (fault?: BearerFault) =>
        bearerChallenge({ realm: realm(origin), service, access: [...access, ...helpful], fault });
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
        sees: (name) =>
          token.access.some(({ type }) => type === 'registry') ||
          covers(token.access, { type: 'repository', name, actions: ['pull'] }),
      };
    },
  };
}

/**
 * The key that the header names, by its id or by a chain of certificates that leads to a root of ours. A key that the
 * header brings along (`jwk`) proves nothing and is not looked at (CVE-2025-24976).
 */
function keyFor({ alg, kid, x5c }: JWTHeaderParameters, trust: Trust): KeyObject {
  const known = kid === undefined ? undefined : trust.keys.get(kid);
  const key =
    (x5c === undefined ? undefined : keyOfChain(x5c, trust.roots, new Date())) ??
    (known === undefined || (known.alg ?? alg) !== alg ? undefined : known.key);
  if (key === undefined) throw new errors.JWKSNoMatchingKey();
  return key;
}
