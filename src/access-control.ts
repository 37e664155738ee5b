import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import { Agent, fetch as fetchWith } from 'undici';
import type { StorageDriver } from '../storage-drivers/driver.ts';
import { type AccessController, openAccess } from './auth/access.ts';
import { createBuiltinAccess } from './auth/builtin/access.ts';
import { AccessTokens } from './auth/builtin/access-tokens.ts';
import { Authenticator, type LoginFailure } from './auth/builtin/authenticator.ts';
import { openSigningKeys } from './auth/builtin/keys.ts';
import { createTokenService, type TokenService } from './auth/builtin/service.ts';
import { Tokens } from './auth/builtin/tokens.ts';
import { createExternalAccess } from './auth/external/access.ts';
import { readTrust } from './auth/external/trust.ts';
import { createIssuers, type Issuer } from './auth/oidc/issuers.ts';
import { createIssuerKeys, type Fetch } from './auth/oidc/keys.ts';
import { createBasicAccess } from './auth/passwords/access.ts';
import { Attempts } from './auth/passwords/attempts.ts';
import { type Htpasswd, parseHtpasswd } from './auth/passwords/htpasswd.ts';
import { createPasswords, type Passwords } from './auth/passwords/passwords.ts';
import { Policy } from './auth/policy/policy.ts';
import { ConfigError } from './config/finding.ts';
import type { Config } from './config/schema.ts';
import { signingAlgorithms } from './config/sections/auth.ts';
import type { Log } from './http/log.ts';
import type { Metrics } from './observe/metrics.ts';
import { authStore, createSharedStore } from './shared-store.ts';
import { watchFiles } from './watch-files.ts';

type AuthConfig = NonNullable<Config['auth']>;
type BuiltinConfig = NonNullable<AuthConfig['builtin']>;

export interface AccessControl {
  readonly controller: AccessController;
  /** Where tokens are made; undefined: elsewhere, or nowhere. */
  readonly tokens: TokenService | undefined;
  /** Takes over users, policy and trusted keys as they are now; on a fault all stays as it was, and the log says why. */
  reload(auth?: Config['auth']): Promise<void>;
  close(): Promise<void>;
}

export interface AccessControlOptions {
  readonly driver: StorageDriver;
  /** Whether nothing may be stored. */
  readonly readOnly: boolean;
  /** `http.prefix`, without a trailing slash. */
  readonly prefix: string;
  readonly log: Log;
  /** Undefined: nothing is counted. */
  readonly metrics: Pick<Metrics, 'loginFailed' | 'loginSlowed'> | undefined;
}

/**
 * Builds what the section `auth` asks for. The storage must be there.
 *
 * @throws ConfigError when a file that it names is missing or broken
 */
export async function openAccessControl(auth: Config['auth'], options: AccessControlOptions): Promise<AccessControl> {
  if (auth?.htpasswd !== undefined) return openHtpasswd(auth.htpasswd, options);
  if (auth?.token !== undefined) return openExternal(auth.token, options);
  if (auth?.builtin !== undefined) return openBuiltin(auth.builtin, options);
  return { controller: openAccess, tokens: undefined, reload: async () => {}, close: async () => {} };
}

async function openHtpasswd(
  { realm, path }: NonNullable<AuthConfig['htpasswd']>,
  options: AccessControlOptions,
): Promise<AccessControl> {
  const { log } = options;
  const users = await openUsers('auth.htpasswd.path', path, log);
  const controller = createBasicAccess({
    realm,
    passwords: users.passwords,
    attempts: attemptsOf(options),
    onFailure: (failure) => reportFailure(options, { ...failure, reason: 'password' }),
  });
  return { controller, tokens: undefined, reload: users.reload, close: users.close };
}

async function openExternal(
  { realm, service, issuer, rootcertbundle, jwks, ...token }: NonNullable<AuthConfig['token']>,
  { log }: AccessControlOptions,
): Promise<AccessControl> {
  const read = async () => {
    const [bundle, keySet] = await Promise.all([
      rootcertbundle && readConfigured('auth.token.rootcertbundle', rootcertbundle),
      jwks && readConfigured('auth.token.jwks', jwks),
    ]);
    return readTrust(bundle, keySet);
  };
  let trust = await faultOf('auth.token', '', read());
  const files = [rootcertbundle, jwks].filter((path) => path !== undefined);
  const { readNow, close } = watchFiles(files, () =>
    unlessBroken(log, 'the keys of the token server', read, (keys) => {
      trust = keys;
    }),
  );
  const controller = createExternalAccess({
    realm: (origin) => (token.autoredirect ? `${origin}${token.autoredirectpath}` : realm),
    service,
    issuer,
    algorithms: token.signingalgorithms,
    trust: () => trust,
  });
  return { controller, tokens: undefined, reload: readNow, close: async () => close() };
}

async function openBuiltin(config: BuiltinConfig, options: AccessControlOptions): Promise<AccessControl> {
  const { driver, readOnly, prefix, log } = options;
  const { service, realm } = config;
  const users = await openUsers('auth.builtin.users', config.users, log);
  const store = createSharedStore(driver, authStore);
  const keys = await openSigningKeys({
    store,
    readOnly,
    onFault: (error) => log.warn('the signing keys could not be read again; those that are known stay', { error }),
  });
  let current = policyPart(config);
  let policy = policyOf(current);
  const connections: Agent[] = [];
  const issuers = await Promise.all(config.issuers.map((issuer) => openIssuer(issuer, connections)));
  const authenticator = new Authenticator({
    passwords: users.passwords,
    tokens: new AccessTokens(store, { readOnly }),
    issuers: createIssuers({
      issuers,
      algorithms: signingAlgorithms,
      onFault: (issuer, error) => log.warn('an issuer of ID tokens does not answer', { issuer, error }),
    }),
    attempts: attemptsOf(options),
    certificates: config.certificates,
    onFailure: (failure) => reportFailure(options, failure),
  });
  const tokens = new Tokens({ keys, service, lifetime: config.tokenlifetime, loginLifetime: config.loginlifetime });
  return {
    controller: createBuiltinAccess({
      authenticator,
      tokens,
      policy: () => policy,
      service,
      realm: (origin) => realm ?? `${origin}${prefix}/auth/token`,
    }),
    tokens: createTokenService({ authenticator, tokens, keys, policy: () => policy }),
    async reload(auth) {
      if (auth?.builtin !== undefined && !isDeepStrictEqual(policyPart(auth.builtin), current)) {
        current = policyPart(auth.builtin);
        policy = policyOf(current);
        log.info('took over the policy', { rules: current.policy.length });
      }
      await users.reload();
    },
    async close() {
      keys.close();
      await users.close();
      await Promise.all(connections.map((agent) => agent.close()));
    },
  };
}

type PolicyConfig = Pick<BuiltinConfig, 'policy' | 'groups'>;

function policyPart({ policy, groups }: BuiltinConfig): PolicyConfig {
  return { policy, groups };
}

export function policyOf({ policy, groups }: PolicyConfig): Policy {
  return new Policy({ rules: policy, groups });
}

async function openIssuer(
  { name, issuer, audience, jwksurl, ca, require, subject }: BuiltinConfig['issuers'][number],
  connections: Agent[],
): Promise<Issuer> {
  const authority = ca && (await readConfigured('auth.builtin.issuers', ca));
  const agent = new Agent({ connect: { timeout: 5_000, ...(authority !== undefined && { ca: authority }) } });
  connections.push(agent);
  const fetch: Fetch = async (url, { signal, headers, redirect }) => {
    const answer = await fetchWith(url, { signal, headers: Object.fromEntries(headers), redirect, dispatcher: agent });
    return answer as unknown as Response;
  };
  const keys = createIssuerKeys({ issuer, jwksUrl: jwksurl, fetch });
  return { name, issuer, audiences: audience, require, subject, keys };
}

interface Users {
  readonly passwords: Passwords;
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** @param path undefined: there are no users */
async function openUsers(key: string, path: string | undefined, log: Log): Promise<Users> {
  if (path === undefined) {
    const passwords = createPasswords({ hashes: new Map(), warnings: [] });
    return { passwords, reload: async () => {}, close: async () => {} };
  }
  const read = async (): Promise<Htpasswd> => {
    const users = parseHtpasswd(await readConfigured(key, path, `make it with: berth htpasswd add ${path} USER`));
    for (const warning of users.warnings) log.warn('users', { file: path, finding: warning });
    return users;
  };
  const passwords = createPasswords(await faultOf(key, path, read()));
  const { readNow, close } = watchFiles([path], () =>
    unlessBroken(log, `the users in ${path}`, read, (users) => {
      passwords.replace(users);
      if (users.hashes.size === 0) log.warn('there is no user any more', { file: path });
    }),
  );
  return { passwords, reload: readNow, close: async () => close() };
}

/** @returns puts to use what was read; says why when it cannot be used */
async function unlessBroken<T>(
  log: Log,
  what: string,
  read: () => Promise<T>,
  use: (value: T) => void,
): Promise<() => void> {
  try {
    const value = await read();
    return () => {
      use(value);
      log.info(`took over ${what}`);
    };
  } catch (error) {
    return () => log.error(`${what} cannot be used; those that were read before stay`, { error });
  }
}

async function readConfigured(key: string, path: string, advice = ''): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const reasons = new Map<unknown, string>([
      ['ENOENT', `there is no such file${advice === '' ? '' : `; ${advice}`}`],
      [
        'EACCES',
        `the user of the registry (uid ${process.getuid?.()}) may not read it; give it to that user with chown`,
      ],
      ['EISDIR', 'it is a folder'],
    ]);
    throw new ConfigError([{ source: path, key, message: reasons.get(code) ?? `cannot be read: ${error}` }]);
  }
}

async function faultOf<T>(key: string, source: string, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof ConfigError || !(error instanceof Error)) throw error;
    throw new ConfigError([{ source, key, message: error.message }]);
  }
}

function attemptsOf({ metrics }: AccessControlOptions): Attempts {
  return new Attempts({ onSlowed: metrics?.loginSlowed });
}

/** Who puts a token where the name belongs has not made it public. */
function reportFailure({ log, metrics }: AccessControlOptions, { account, address, reason }: LoginFailure): void {
  const shown = /berth_|eyJ/.test(account) ? '<token>' : account;
  log.warn('login failed', { user: shown, address, reason });
  metrics?.loginFailed(reason);
}
