import { RegistryError } from '../../oci/errors.ts';
import type { Access, AccessController, AccessRequest, Authorized } from '../access.ts';
import { basicChallenge } from '../challenge.ts';
import { parseAuthorization } from '../credentials.ts';
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
      if (passwords.isKnown(user, password)) return authorized;
      const address = request.remoteAddress;
      await attempts.admit(user, address);
      if (await verify(passwords, user, password)) {
        attempts.succeeded(user, address);
        return authorized;
      }
      attempts.failed(user, address);
      onFailure({ account: user.slice(0, 100), address });
      throw refuse(access, 'incorrect username or password');
    },
  };
}

/** @throws RegistryError TOOMANYREQUESTS */
export async function verify(passwords: Passwords, user: string, password: string): Promise<boolean> {
  try {
    return await passwords.verify(user, password);
  } catch (cause) {
    if (!(cause instanceof BusyError)) throw cause;
    throw new RegistryError('TOOMANYREQUESTS', {
      message: 'too many logins at a time; try again later',
      headers: { 'Retry-After': '5' },
    });
  }
}
