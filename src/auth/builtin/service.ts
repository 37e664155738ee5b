import { RegistryError } from '../../oci/errors.ts';
import type { Access, ClientCertificate } from '../access.ts';
import type { BasicCredentials } from '../credentials.ts';
import type { Policy } from '../policy/policy.ts';
import { formatScope } from '../scope.ts';
import type { Authenticated, Authenticator } from './authenticator.ts';
import type { SigningKeys } from './keys.ts';
import type { Tokens } from './tokens.ts';

/** A request for a token, whichever way it came. */
export interface TokenRequest {
  /** Undefined: anonymous. */
  readonly credentials: BasicCredentials | { readonly refreshToken: string } | undefined;
  readonly access: readonly Access[];
  /** Whether the client wants a login that it can keep instead of the password. */
  readonly offline: boolean;
  readonly remoteAddress: string;
  readonly certificate: ClientCertificate | undefined;
}

export interface IssuedToken {
  readonly token: string;
  /** In seconds. */
  readonly expiresIn: number;
  readonly issuedAt: Date;
  /** What was granted: what was asked for, as far as it is allowed. */
  readonly scope: string;
  readonly refreshToken: string | undefined;
}

/** The token server: what distribution leaves to another program. */
export interface TokenService {
  /** @throws RegistryError UNAUTHORIZED (without a challenge) or TOOMANYREQUESTS */
  issue(request: TokenRequest): Promise<IssuedToken>;
  /** The public keys, as RFC 7517 has them. */
  keySet(): { readonly keys: readonly object[] };
}

export interface TokenServiceOptions {
  readonly authenticator: Authenticator;
  readonly tokens: Tokens;
  readonly keys: SigningKeys;
  /** What is in effect now. */
  readonly policy: () => Policy;
}

/** Servers take no longer headers, ours neither. In characters. */
const maxToken = 8 * 1024;

export function createTokenService({ authenticator, tokens, keys, policy }: TokenServiceOptions): TokenService {
  async function authenticate(request: TokenRequest): Promise<Authenticated | undefined> {
    const { credentials, remoteAddress } = request;
    if (credentials === undefined) {
      const identity = authenticator.ofCertificate(request.certificate);
      if (identity !== undefined) return { identity, login: undefined, expires: undefined };
      if (policy().admitsAnonymous) return undefined;
      throw new RegistryError('UNAUTHORIZED', { message: 'authentication required' });
    }
    if ('user' in credentials) return authenticator.authenticate(credentials, remoteAddress);
    const login = await tokens.verifyLogin(credentials.refreshToken);
    if (login !== undefined) return authenticator.resume(login, remoteAddress);
    return authenticator.refuseLogin(remoteAddress);
  }

  return {
    async issue(request) {
      const authenticated = await authenticate(request);
      const identity = authenticated?.identity;
      const rights = policy().rightsOf(identity);
      const access = request.access.flatMap((wanted): Access[] => {
        if (wanted.type === 'registry') return rights.allows(wanted) ? [wanted] : [];
        const actions = wanted.actions.filter((action) => rights.allows({ ...wanted, actions: [action] }));
        return actions.length === 0 ? [] : [{ ...wanted, actions }];
      });
      const issuedAt = new Date();
      const expiresIn = Math.min(tokens.lifetime, secondsUntil(authenticated?.expires, issuedAt));
      const token = await tokens.issue({ identity, access }, issuedAt, expiresIn);
      if (token.length > maxToken) {
        const message = 'too many scopes for one token; ask for fewer at a time';
        throw new RegistryError('TOKEN_REQUEST_INVALID', { message });
      }
      const login = request.offline ? authenticated?.login : undefined;
      return {
        token,
        expiresIn,
        issuedAt,
        scope: access.map(formatScope).join(' '),
        refreshToken: login && (await tokens.issueLogin(login, issuedAt)),
      };
    },

    keySet: () => ({ keys: keys.valid.map(({ jwk }) => jwk) }),
  };
}

/** At least one. */
function secondsUntil(time: Date | undefined, now: Date): number {
  return time === undefined
    ? Number.POSITIVE_INFINITY
    : Math.max(1, Math.floor((time.getTime() - now.getTime()) / 1000));
}
