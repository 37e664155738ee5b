import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { RegistryError } from '../../oci/errors.ts';
import type { Identity } from '../identity.ts';
import { createGlob } from '../policy/glob.ts';
import { leeway } from '../scope.ts';

/** The last date that there is (ECMA-262, 21.4.1.1), in milliseconds. */
const latest = 8.64e15;

/** Who makes ID tokens that are taken for a password: GitHub Actions, GitLab CI, a Kubernetes cluster. */
export interface Issuer {
  /** Its name in identities: `oidc:<name>:<subject>`. */
  readonly name: string;
  /** As the claim `iss` has it. */
  readonly issuer: string;
  /** One of which the claim `aud` must have: a token that was made for somebody else is not for us. */
  readonly audiences: readonly string[];
  /** Claims that a token must have, each with a pattern (see `createGlob`). */
  readonly require: Readonly<Record<string, string>>;
  /** Made of claims in braces: `{repository}`. */
  readonly subject: string;
  /** Finds the key that a token names. Rejects when the issuer does not answer. */
  readonly keys: JWTVerifyGetKey;
}

export type Identified = { readonly identity: Identity; readonly expires: Date } | { readonly fault: string };

/** Workload identity: the ID token of a CI job is its password, so that none has to be stored. */
export interface Issuers {
  /** Whether it looks like a token of one of them. Looks only, and believes nothing. */
  isIdToken(password: string): boolean;
  /** @throws RegistryError UNAVAILABLE when the issuer does not answer */
  identify(token: string): Promise<Identified>;
}

export interface IssuersOptions {
  readonly issuers: readonly Issuer[];
  /** Of signatures that are believed; none that is made with a shared secret. */
  readonly algorithms: readonly string[];
  /** Told when an issuer does not answer. */
  readonly onFault: (issuer: string, error: unknown) => void;
}

export function createIssuers({ issuers, algorithms, onFault }: IssuersOptions): Issuers {
  function issuerOf(token: string): Issuer | undefined {
    if (issuers.length === 0 || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return undefined;
    try {
      const { iss } = decodeJwt(token);
      return issuers.find(({ issuer }) => issuer === iss);
    } catch {
      return undefined;
    }
  }

  return {
    isIdToken: (password) => issuerOf(password) !== undefined,

    async identify(token) {
      const issuer = issuerOf(token);
      if (issuer === undefined) return { fault: 'nobody here knows the issuer of the token' };
      const { audiences, keys } = issuer;
      try {
        const { payload } = await jwtVerify(token, keys, {
          algorithms: [...algorithms],
          issuer: issuer.issuer,
          audience: [...audiences],
          clockTolerance: leeway,
          requiredClaims: ['exp', 'iat'],
        });
        return identityOf(issuer, payload);
      } catch (error) {
        if (isAboutToken(error)) return { fault: `the token is not accepted: ${error.message}` };
        onFault(issuer.name, error);
        throw new RegistryError('UNAVAILABLE', {
          message: `the keys of the issuer ${issuer.name} cannot be had now; try again`,
          headers: { 'Retry-After': '5' },
        });
      }
    },
  };
}

function isAboutToken(error: unknown): error is Error {
  return (
    error instanceof errors.JWTExpired ||
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  );
}

function identityOf({ name, require, subject }: Issuer, claims: JWTPayload): Identified {
  for (const [claim, pattern] of Object.entries(require)) {
    const text = textOf(claims, claim);
    if (text === undefined) return { fault: `the token has no claim ${claim}` };
    if (!createGlob(pattern)(text)) return { fault: `the claim ${claim} of the token is not one that is let in` };
  }
  let missing: string | undefined;
  const text = subject.replaceAll(/\{([^}]+)\}/g, (_, claim: string) => {
    const value = textOf(claims, claim);
    if (value === undefined) missing ??= claim;
    return value ?? '';
  });
  if (missing !== undefined) return { fault: `the token has no claim ${missing}` };
  return {
    identity: { kind: 'oidc', name: `${name}:${text}` },
    expires: new Date(Math.min((claims.exp ?? 0) * 1000, latest)),
  };
}

/** Claims that are texts, numbers or booleans; a claim within a claim is named with a dot: `kubernetes.io.namespace`. */
function textOf(claims: JWTPayload, path: string): string | undefined {
  const value = claimAt(claims, path);
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
}

/** Names may have dots themselves. */
function claimAt(claims: unknown, path: string): unknown {
  if (typeof claims !== 'object' || claims === null) return undefined;
  const own = new Map<string, unknown>(Object.entries(claims));
  if (own.has(path)) return own.get(path);
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    const found = claimAt(own.get(path.slice(0, dot)), path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}
