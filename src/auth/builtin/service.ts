import { RegistryError } from '../../oci/errors.ts';
import type { Access } from '../access.ts';
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

export function createTokenService({ authenticator, tokens, keys, policy }: TokenServiceOptions): TokenService {
  async function authenticate({ credentials, remoteAddress }: TokenRequest): Promise<Authenticated | undefined> {
    if (credentials === undefined) {
      if (policy().admitsAnonymous) return undefined;
      throw new RegistryError('UNAUTHORIZED', { message: 'authentication required' });
    }
    if ('user' in credentials) return authenticator.authenticate(credentials, remoteAddress);
    const login = await tokens.verifyLogin(credentials.refreshToken);
    if (login !== undefined) return authenticator.resume(login, remoteAddress);
    throw new RegistryError('UNAUTHORIZED', { message: 'the login has expired or was ended; log in again' });
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
      const login = request.offline ? authenticated?.login : undefined;
      return {
        token: await tokens.issue({ identity, access }, issuedAt),
        expiresIn: tokens.lifetime,
        issuedAt,
        scope: access.map(formatScope).join(' '),
        refreshToken: login && (await tokens.issueLogin(login, issuedAt)),
      };
    },

    keySet: () => ({ keys: keys.valid.map(({ jwk }) => jwk) }),
  };
}
