import { isRegistryError, RegistryError } from '../../oci/errors.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Access, AccessController, AccessRequest, Authorized } from '../access.ts';
import { type BearerFault, bearerChallenge, detailOf } from '../challenge.ts';
import { type BasicCredentials, parseAuthorization } from '../credentials.ts';
import { formatIdentity, type Identity } from '../identity.ts';
import type { Policy, Rights } from '../policy/policy.ts';
import { covers, isSearch } from '../scope.ts';
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

  type Refuse = (fault?: BearerFault, message?: string) => RegistryError;

  /** @param granted what a token is limited to; undefined: nothing limits but the policy */
  function authorized(identity: Identity | undefined, rights: Rights, granted?: readonly Access[]): Authorized {
    const sees = (name: RepositoryName, by: (access: Access) => boolean) =>
      by({ type: 'repository', name, actions: ['pull'] });
    const allows = (access: Access) => rights.allows(access) && (granted === undefined || covers(granted, access));
    // Who asks for the catalogue or a search asks for all that it may see; other tokens name what they are for.
    const lists = granted === undefined || granted.some(({ type }) => type === 'registry');
    const open = policy().rightsOf(undefined);
    return {
      subject: identity === undefined || identity.kind === 'user' ? (identity?.name ?? '') : formatIdentity(identity),
      allows,
      sees: (name) => sees(name, lists ? rights.allows : allows) || sees(name, open.allows),
    };
  }

  async function withToken(text: string, access: readonly Access[], refuse: Refuse): Promise<Authorized> {
    const token = await tokens.verify(text);
    if (token === undefined || (token.identity !== undefined && !authenticator.isStillThere(token.identity))) {
      throw refuse('invalid_token');
    }
    const rights = policy().rightsOf(token.identity);
    const named = (item: Access) => isSearch(item) || covers(token.access, item);
    if (access.every((item) => named(item) && rights.allows(item))) {
      return authorized(token.identity, rights, token.access);
    }
    throw refuse('insufficient_scope');
  }

  async function identify(credentials: BasicCredentials, address: string, refuse: Refuse): Promise<Identity> {
    try {
      return (await authenticator.authenticate(credentials, address)).identity;
    } catch (error) {
      throw isRegistryError(error, 'UNAUTHORIZED') ? refuse(undefined, error.message) : error;
    }
  }

  return {
    async authorize(request, access, helpful = []) {
      const refuse: Refuse = (fault, message) =>
        bearerChallenge({ realm: realm(request.origin), service, access: [...access, ...helpful], fault }, message);
      const credentials = readCredentials(request, () => refuse('invalid_token'));
      if (credentials?.scheme === 'bearer') return withToken(credentials.token, access, refuse);
      const identity =
        credentials === undefined
          ? authenticator.ofCertificate(request.certificate)
          : await identify(credentials, request.remoteAddress, refuse);
      const rights = policy().rightsOf(identity);
      // A client that names nothing asks whether it has to log in: it would never do so if it heard that it need not.
      const pings = access.length === 0 && credentials === undefined;
      if (!pings && access.every(rights.allows)) return authorized(identity, rights);
      // Who has shown a certificate may still have a password.
      if (credentials === undefined) throw refuse();
      throw new RegistryError('DENIED', { detail: detailOf(access) });
    },
  };
}

function readCredentials(request: AccessRequest, fault: () => RegistryError) {
  try {
    return parseAuthorization(request.authorization);
  } catch {
    throw fault();
  }
}
