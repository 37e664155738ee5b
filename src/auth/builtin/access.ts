import { isRegistryError, RegistryError } from '../../oci/errors.ts';
import type { Access, AccessController, AccessRequest, Authorized } from '../access.ts';
import { type BearerFault, bearerChallenge, detailOf } from '../challenge.ts';
import { parseAuthorization } from '../credentials.ts';
import type { Identity } from '../identity.ts';
import type { Policy } from '../policy/policy.ts';
import { covers } from '../scope.ts';
import type { Authenticator } from './authenticator.ts';
import type { Tokens } from './tokens.ts';

export interface BuiltinAccessOptions {
  readonly authenticator: Authenticator;
  readonly tokens: Tokens;
  /** What is in effect now. */
  readonly policy: () => Policy;
  readonly service: string;
  /** Where clients get tokens, by the origin under which they reached us. */
  readonly realm: (origin: string) => string;
}

/**
 * Lets in by the policy, whoever it is that asks: with a token of ours, with user and password, with a certificate, or with
 * nothing. A token gives no more than it names, and no more than the policy gives now.
 */
export function createBuiltinAccess(options: BuiltinAccessOptions): AccessController {
  const { authenticator, tokens, policy, service, realm } = options;

  function challenge(request: AccessRequest, access: readonly Access[], fault?: BearerFault, message?: string) {
    const named = access.filter((item) => !isSearch(item));
    return bearerChallenge({ realm: realm(request.origin), service, access: named, fault }, message);
  }

  /** @param granted what a token is limited to; undefined: nothing limits but the policy */
  function authorized(identity: Identity | undefined, granted: readonly Access[] | undefined): Authorized {
    const rights = policy().rightsOf(identity);
    return {
      subject: identity?.name ?? '',
      allows: (access) => (granted === undefined || covers(granted, access)) && rights.allows(access),
      sees: (name) => rights.allows({ type: 'repository', name, actions: ['pull'] }),
    };
  }

  function isAllowed(identity: Identity | undefined, access: readonly Access[]): boolean {
    const rights = policy().rightsOf(identity);
    return access.every((item) => rights.allows(item));
  }

  async function withToken(request: AccessRequest, text: string, access: readonly Access[]): Promise<Authorized> {
    const token = await tokens.verify(text);
    if (token === undefined || (token.identity !== undefined && !authenticator.isStillThere(token.identity))) {
      throw challenge(request, access, 'invalid_token');
    }
    const named = access.every((item) => isSearch(item) || covers(token.access, item));
    if (!named || !isAllowed(token.identity, access)) throw challenge(request, access, 'insufficient_scope');
    return authorized(token.identity, token.access);
  }

  return {
    async authorize(request, access) {
      const credentials = readCredentials(request, () => challenge(request, access, 'invalid_token'));
      if (credentials?.scheme === 'bearer') return withToken(request, credentials.token, access);
      const identity =
        credentials === undefined
          ? authenticator.ofCertificate(request.certificate)
          : await authenticator.authenticate(credentials, request.remoteAddress).then(
              (authenticated) => authenticated.identity,
              (error: unknown) => {
                throw isRegistryError(error, 'UNAUTHORIZED')
                  ? challenge(request, access, undefined, error.message)
                  : error;
              },
            );
      // A client that names nothing asks whether it has to log in: it would never do so if it heard that it need not.
      const pings = access.length === 0 && identity === undefined;
      if (!pings && isAllowed(identity, access)) return authorized(identity, undefined);
      if (identity === undefined) throw challenge(request, access);
      throw new RegistryError('DENIED', { detail: detailOf(access) });
    },
  };
}

/** What nobody has to ask for: it shows no more than the caller may pull. */
function isSearch({ type, name }: Access): boolean {
  return type === 'registry' && name === 'search';
}

function readCredentials(request: AccessRequest, fault: () => RegistryError) {
  try {
    return parseAuthorization(request.authorization);
  } catch {
    throw fault();
  }
}
