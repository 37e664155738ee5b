import { LRUCache } from 'lru-cache';
import type { AddressGuard } from './address.ts';
import { parseChallenges } from './challenge.ts';
import { realmFault } from './realm.ts';
import type { TokenAnswer, TokenRequest } from './token-server.ts';

/** Of one upstream. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** A function is asked each time they are sent, so that a file can be read again. @param server to which they are sent */
export type CredentialsSource =
  | Credentials
  | undefined
  | ((server: URL) => Credentials | undefined | Promise<Credentials | undefined>);

/** What goes into the header `Authorization` of a request. */
export interface Grant {
  readonly header: string;
  /** What of it must not be seen. */
  readonly secret: string;
  /** Whether it was had for this request, so that to ask for another one is of no use. */
  readonly fresh: boolean;
  /** Whether a token server gave it, and so knows and admits us, be it as nobody. */
  readonly isToken: boolean;
}

/** A challenge that cannot be met. */
export class ChallengeError extends Error {
  override readonly name = 'ChallengeError';
  /** `denied`: for want of credentials; `invalid`: as it should not be met, or cannot be understood. */
  readonly kind: 'denied' | 'invalid';

  constructor(kind: 'denied' | 'invalid', message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.kind = kind;
  }
}

export interface AuthorizationOptions {
  readonly endpoint: URL;
  readonly credentials: CredentialsSource;
  readonly realmHosts: readonly string[];
  readonly guard: AddressGuard;
  /** @throws UpstreamError */
  readonly fetch: (request: TokenRequest) => Promise<TokenAnswer>;
  readonly now: () => number;
}

/** What is known of a repository, or of a scope. The oldest are forgotten, and found out again. */
const maxKnown = 2_000;

/** A token is not used in its last seconds, as it must still be good when it arrives. In milliseconds. */
const longestMargin = 30_000;

type Demand = { readonly scheme: 'basic' } | { readonly scheme: 'bearer'; readonly realm: URL };

interface Token {
  readonly value: string;
  /** In milliseconds since 1970. */
  readonly renewAt: number;
  readonly expiresAt: number;
}

/**
 * Logs in at one endpoint, when it asks for it: distribution's token specification ("Token Authentication
 * Specification") and Basic. What a repository asked for is remembered, so that it need not ask again.
 */
export class Authorization {
  readonly #options: AuthorizationOptions;
  readonly #demands = new LRUCache<string, Demand>({ max: maxKnown });
  readonly #tokens = new LRUCache<string, Token>({ max: maxKnown });
  readonly #pending = new Map<string, Promise<Token>>();

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /**
   * What to send before anything was asked for; undefined: nothing.
   *
   * @throws as {@link answer}
   */
  async expected(repository: string): Promise<Grant | undefined> {
    const demand = this.#demands.get(repository);
    if (demand === undefined) return undefined;
    try {
      return await this.#meet(demand);
    } catch (error) {
      // A token server may have moved: the next request asks the endpoint where it is.
      this.#demands.delete(repository);
      throw error;
    }
  }

  /**
   * What to send when an endpoint answers with 401.
   *
   * @param challenge its `WWW-Authenticate`
   * @param refused what it does not accept, if anything was sent
   * @throws ChallengeError when there is nothing to send; UpstreamError when the token server does not give a token
   */
  async answer(repository: string, challenge: string | undefined, refused: Grant | undefined): Promise<Grant> {
    const demand = this.#read(repository, challenge);
    if (demand.scheme === 'bearer' && refused !== undefined) {
      // Unless another request has changed it meanwhile.
      const key = demand.realm.href;
      if (this.#tokens.get(key)?.value === refused.secret) this.#tokens.delete(key);
    }
    const grant = await this.#meet(demand);
    // Only what could be met: a portal in between may ask for anything.
    this.#demands.set(repository, demand);
    return grant;
  }

  /** A token is wanted rather than a password, which is sent more often; what is asked for is asked for as it is. */
  #read(repository: string, header: string | undefined): Demand {
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.realm !== undefined);
    if (bearer === undefined) {
      if (challenges.some(({ scheme }) => scheme === 'basic')) return { scheme: 'basic' };
      throw new ChallengeError('denied', 'it lets us not in, and asks for no login that we know');
    }
    const { realm: address = '', service, scope = `repository:${repository}:pull` } = bearer.parameters;
    if (!URL.canParse(address)) throw new ChallengeError('invalid', 'its realm is no URL');
    const realm = new URL(address);
    realm.hash = '';
    if (service !== undefined) realm.searchParams.set('service', service);
    for (const resource of scope.split(' ')) if (resource !== '') realm.searchParams.append('scope', resource);
    return { scheme: 'bearer', realm };
  }

  async #meet(demand: Demand): Promise<Grant> {
    if (demand.scheme === 'basic') {
      const credentials = await this.#credentials(this.#options.endpoint);
      if (credentials === undefined) throw new ChallengeError('denied', 'it asks for credentials, and there are none');
      return { header: `Basic ${basic(credentials)}`, secret: basic(credentials), fresh: true, isToken: false };
    }
    const key = demand.realm.href;
    const token = this.#tokens.get(key);
    const now = this.#options.now();
    if (token !== undefined && now < token.renewAt) return grantOf(token, false);
    try {
      return grantOf(await this.#renewed(key, demand.realm), true);
    } catch (error) {
      // A token server that is down does no harm as long as the last token is good.
      if (token !== undefined && now < token.expiresAt && this.#tokens.has(key)) return grantOf(token, false);
      throw error;
    }
  }

  /** Who asks for the same at the same time gets the same. */
  #renewed(key: string, realm: URL): Promise<Token> {
    const before = this.#pending.get(key);
    if (before !== undefined) return before;
    const pending = this.#ask(realm)
      .then((token) => {
        this.#tokens.set(key, token);
        return token;
      })
      .finally(() => this.#pending.delete(key));
    this.#pending.set(key, pending);
    return pending;
  }

  async #ask(realm: URL): Promise<Token> {
    const { endpoint, realmHosts: allowed, guard, fetch, now } = this.#options;
    const credentials = await this.#credentials(realm);
    const fault = realmFault(realm, { endpoint, allowed, guard }, credentials !== undefined);
    if (fault !== undefined) throw new ChallengeError('invalid', fault);
    const { value, lifetime } = await fetch({
      url: realm,
      authorization: credentials === undefined ? undefined : `Basic ${basic(credentials)}`,
      secrets: credentials === undefined ? [] : [credentials.password, basic(credentials)],
    });
    const received = now();
    const margin = Math.min(longestMargin, lifetime / 5);
    return { value, renewAt: received + lifetime - margin, expiresAt: received + lifetime };
  }

  async #credentials(server: URL): Promise<Credentials | undefined> {
    const { credentials } = this.#options;
    try {
      return typeof credentials === 'function' ? await credentials(server) : credentials;
    } catch (cause) {
      throw new ChallengeError('denied', 'our credentials cannot be read', { cause });
    }
  }
}

function grantOf({ value }: Token, fresh: boolean): Grant {
  return { header: `Bearer ${value}`, secret: value, fresh, isToken: true };
}

/** RFC 7617, in UTF-8. */
function basic({ username, password }: Credentials): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}
