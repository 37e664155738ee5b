import { RegistryError } from '../../oci/errors.ts';
import type { ClientCertificate } from '../access.ts';
import type { BasicCredentials } from '../credentials.ts';
import type { Identity } from '../identity.ts';
import type { Issuers } from '../oidc/issuers.ts';
import { checkPassword } from '../passwords/access.ts';
import type { Attempts } from '../passwords/attempts.ts';
import type { Passwords } from '../passwords/passwords.ts';
import { AccessTokens, isAccessToken } from './access-tokens.ts';
import type { Login } from './tokens.ts';

/** Which name in a certificate is its identity. */
export type CertificateName = 'commonname' | 'dns' | 'email' | 'uri';

export interface AuthenticatorOptions {
  readonly passwords: Passwords;
  readonly tokens: AccessTokens;
  readonly issuers: Issuers;
  readonly attempts: Attempts;
  /** Undefined: certificates identify nobody. */
  readonly certificates: CertificateName | undefined;
  /** Told of each login by password or token that failed, with nothing that is secret. */
  readonly onFailure: (failure: LoginFailure) => void;
}

export interface LoginFailure {
  /** As the client wrote it, cut. */
  readonly account: string;
  readonly address: string;
  readonly reason: 'password' | 'access token' | 'id token' | 'login';
}

/** Who somebody proved to be, and how: a login may be kept for as long as that counts. */
export interface Authenticated {
  readonly identity: Identity;
  readonly login: Login | undefined;
  /** When the credentials end, and all that rests on them; undefined: nobody knows yet. */
  readonly expires: Date | undefined;
}

/** Says who it is that comes with a password, an access token, an ID token or a certificate. */
export class Authenticator {
  readonly #options: AuthenticatorOptions;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
  }

  /**
   * @param address of the peer
   * @throws RegistryError UNAUTHORIZED (without a challenge) or TOOMANYREQUESTS
   */
  async authenticate({ user, password }: BasicCredentials, address: string): Promise<Authenticated> {
    if (isAccessToken(password)) return this.#withAccessToken(user, password, address);
    if (this.#options.issuers.isIdToken(password)) return this.#withIdToken(user, password, address);
    if (await checkPassword(this.#options, { user, password }, address)) return this.#withPassword(user);
    return this.#refuse('password', user, address);
  }

  /** Whether what a login rests on is still so: the password, or the access token. */
  async resume(login: Login, address: string): Promise<Authenticated> {
    const { passwords, tokens } = this.#options;
    if ('password' in login) {
      if (passwords.fingerprint(login.name) === login.password) return this.#withPassword(login.name);
      return this.#refuse('login', login.name, address);
    }
    const found = await tokens.resume(login.token);
    if (found === undefined || !this.isStillThere(found.identity)) return this.#refuse('login', login.name, address);
    return { ...found, login };
  }

  /** Whose certificate it is; undefined when certificates identify nobody, or this one has no such name. */
  ofCertificate(certificate: ClientCertificate | undefined): Identity | undefined {
    const { certificates } = this.#options;
    if (certificates === undefined || certificate === undefined) return undefined;
    const names: Readonly<Record<CertificateName, string | undefined>> = {
      commonname: certificate.commonName,
      dns: certificate.dnsNames[0],
      email: certificate.emails[0],
      uri: certificate.uris[0],
    };
    const name = names[certificates];
    return name === undefined ? undefined : { kind: 'certificate', name };
  }

  /** A user who was taken out of the file is nobody, whatever tokens are about. */
  isStillThere(identity: Identity): boolean {
    return identity.kind !== 'user' || this.#options.passwords.has(identity.name);
  }

  #withPassword(user: string): Authenticated {
    const password = this.#options.passwords.fingerprint(user) ?? '';
    return { identity: { kind: 'user', name: user }, login: { name: user, password }, expires: undefined };
  }

  /** Tokens cannot be guessed, so nobody waits: one that was revoked must not hold up the others of its address. */
  async #withAccessToken(user: string, password: string, address: string): Promise<Authenticated> {
    const found = await this.#options.tokens.identify(password);
    if (found === undefined || !this.isStillThere(found.identity)) return this.#refuse('access token', user, address);
    return { ...found, login: { name: found.identity.name, token: AccessTokens.idOf(password) } };
  }

  async #withIdToken(user: string, password: string, address: string): Promise<Authenticated> {
    const result = await this.#options.issuers.identify(password);
    if ('fault' in result) return this.#refuse('id token', user, address, result.fault);
    // It lives for minutes, and so must not become a login that lives for months.
    return { identity: result.identity, login: undefined, expires: result.expires };
  }

  /** A login that cannot be read at all. */
  refuseLogin(address: string): never {
    return this.#refuse('login', '', address, 'the login has expired or was ended; log in again');
  }

  #refuse(reason: LoginFailure['reason'], user: string, address: string, message?: string): never {
    this.#options.onFailure({ account: user.slice(0, 100), address, reason });
    throw new RegistryError('UNAUTHORIZED', { message: message ?? 'incorrect username or password' });
  }
}
