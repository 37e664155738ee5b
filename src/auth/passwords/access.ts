import { RegistryError } from '../../oci/errors.ts';
import type { Access, AccessController, AccessRequest, Authorized } from '../access.ts';
import { basicChallenge } from '../challenge.ts';
import { type BasicCredentials, parseAuthorization } from '../credentials.ts';
import type { Attempts } from './attempts.ts';
import { BusyError } from './bcrypt.ts';
import type { Passwords } from './passwords.ts';

export interface BasicAccessOptions {
  readonly realm: string;
  readonly passwords: Passwords;
  readonly attempts: Attempts;
  /** Told of each login that failed; nothing of it is secret. */
  readonly onFailure: (failure: { readonly account: string; readonly address: string }) => void;
}

/** `auth.htpasswd`: who has a password may do everything, others nothing. */
export function createBasicAccess({ realm, passwords, attempts, onFailure }: BasicAccessOptions): AccessController {
  const refuse = (access: readonly Access[], message?: string) => basicChallenge(realm, access, message);

  function credentialsOf({ authorization }: AccessRequest, access: readonly Access[]) {
    try {
      const credentials = parseAuthorization(authorization);
      if (credentials?.scheme === 'basic') return credentials;
    } catch {
      // As if there were none.
    }
    throw refuse(access);
  }

  return {
    async authorize(request, access) {
      const { user, password } = credentialsOf(request, access);
      const authorized: Authorized = { subject: user, allows: () => true, sees: () => true };
      const address = request.remoteAddress;
      if (await checkPassword({ passwords, attempts }, { user, password }, address)) return authorized;
      onFailure({ account: user.slice(0, 100), address });
      throw refuse(access, 'incorrect username or password');
    },
  };
}

export interface PasswordCheck {
  readonly passwords: Passwords;
  readonly attempts: Attempts;
}

/**
 * Whether the password is the user's. Who guesses has to wait; who knows the password does not, whoever else guesses.
 *
 * @param address of the peer
 * @throws RegistryError TOOMANYREQUESTS
 */
export async function checkPassword(
  { passwords, attempts }: PasswordCheck,
  { user, password }: Pick<BasicCredentials, 'user' | 'password'>,
  address: string,
): Promise<boolean> {
  try {
    return await passwords.check(user, password, (verify, familiar) =>
      familiar ? verify() : attempts.make(user, address, verify),
    );
  } catch (cause) {
    if (!(cause instanceof BusyError)) throw cause;
    throw new RegistryError('TOOMANYREQUESTS', {
      message: 'too many logins at a time; try again later',
      headers: { 'Retry-After': '5' },
    });
  }
}
