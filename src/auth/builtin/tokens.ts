import { randomUUID } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import type { Access } from '../access.ts';
import { grant, type Identity } from '../identity.ts';
import { accessClaim, claimOf, leeway, readScope } from '../scope.ts';
import { algorithm, type SigningKeys } from './keys.ts';

/** Of tokens that were found good, in characters; to look one up costs a hundredth of verifying it. */
const remembered = 8 * 1024 * 1024;

const identityClaim = z.object({
  kind: z.enum(['user', 'token', 'oidc', 'certificate']),
  name: z.string(),
  grants: z.array(grant).optional(),
  limits: z.array(grant).optional(),
});

/** How somebody logged in, as a refresh token says it: it counts for as long as that does. */
const loginClaim = z.object({
  name: z.string(),
  /** See `Passwords.fingerprint`. */
  password: z.string().optional(),
  /** Id of the access token that stood for the password. */
  token: z.string().optional(),
});

export interface BearerToken {
  /** Undefined: anonymous. */
  readonly identity: Identity | undefined;
  readonly access: readonly Access[];
}

/** A login that is kept by the client instead of the password (`docker login` calls it identity token). */
export type Login = { readonly name: string } & ({ readonly password: string } | { readonly token: string });

export interface TokensOptions {
  readonly keys: SigningKeys;
  /** `iss` and `aud`. */
  readonly service: string;
  /** In milliseconds. */
  readonly lifetime: number;
  readonly loginLifetime: number;
}

/** Makes and reads the two kinds of tokens, which are not taken for each other: audience and type differ. */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #known = new LRUCache<string, { token: BearerToken; kid: string; expires: number }>({
    maxSize: remembered,
    sizeCalculation: (_, text) => text.length,
  });

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** How long a bearer token lives, in seconds. */
  get lifetime(): number {
    return Math.floor(this.#options.lifetime / 1000);
  }

  /** @param seconds how long it lives */
  issue({ identity, access }: BearerToken, now: Date, seconds: number): Promise<string> {
    const { service } = this.#options;
    const claims = { access: access.map(claimOf), ...(identity !== undefined && { identity }) };
    return this.#sign(claims, 'JWT', service, identity?.name ?? '', now, seconds);
  }

  /**
   * What a bearer token says. Without I/O, unless a replica has signed it with a key that is not known here yet.
   *
   * @returns undefined when it is not ours, broken or expired
   */
  async verify(text: string): Promise<BearerToken | undefined> {
    const known = this.#known.get(text);
    if (known !== undefined && known.expires > Date.now() && this.#options.keys.trusts(known.kid)) return known.token;
    const read = await this.#read(text, 'JWT', this.#options.service);
    if (read === undefined) return undefined;
    const { claims, kid } = read;
    const access = accessClaim.safeParse(claims.access ?? []);
    const identity = identityClaim.optional().safeParse(claims.identity);
    if (!access.success || !identity.success) return undefined;
    const token = { identity: identity.data as Identity | undefined, access: access.data.flatMap(readScope) };
    this.#known.set(text, { token, kid, expires: ((claims.exp ?? 0) + leeway) * 1000 });
    return token;
  }

  issueLogin(login: Login, now: Date): Promise<string> {
    const { service, loginLifetime } = this.#options;
    const claims = { login };
    return this.#sign(claims, 'login+jwt', `${service} login`, login.name, now, Math.floor(loginLifetime / 1000));
  }

  /** @returns undefined when it is not ours, broken or expired */
  async verifyLogin(text: string): Promise<Login | undefined> {
    const read = await this.#read(text, 'login+jwt', `${this.#options.service} login`);
    const login = loginClaim.safeParse(read?.claims.login);
    if (!login.success) return undefined;
    const { name, password, token } = login.data;
    if (password !== undefined) return { name, password };
    return token === undefined ? undefined : { name, token };
  }

  #sign(claims: object, typ: string, audience: string, subject: string, now: Date, seconds: number): Promise<string> {
    const { kid, privateKey } = this.#options.keys.current;
    const time = Math.floor(now.getTime() / 1000);
    return new SignJWT({ ...claims })
      .setProtectedHeader({ alg: algorithm, typ, kid })
      .setIssuer(this.#options.service)
      .setSubject(subject)
      .setAudience(audience)
      .setIssuedAt(time)
      .setNotBefore(time)
      .setExpirationTime(time + seconds)
      .setJti(randomUUID())
      .sign(privateKey);
  }

  /** The key is always one of ours, by its id: what else a header says of keys (`jwk`, `jku`, `x5c`) is not looked at. */
  async #read(text: string, typ: string, audience: string) {
    try {
      const { payload, protectedHeader } = await jwtVerify(
        text,
        async ({ kid }) => {
          const key = kid === undefined ? undefined : await this.#options.keys.find(kid);
          if (key === undefined) throw new errors.JWKSNoMatchingKey();
          return key.publicKey;
        },
        {
          algorithms: [algorithm],
          typ,
          issuer: this.#options.service,
          audience,
          clockTolerance: leeway,
          requiredClaims: ['exp', 'nbf', 'iat'],
        },
      );
      return { claims: payload, kid: protectedHeader.kid ?? '' };
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
      throw error;
    }
  }
}
