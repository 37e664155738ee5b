import { generateKeyPairSync } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, exportJWK, SignJWT } from 'jose';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { parseRepositoryName } from '../../oci/name.ts';
import type { Access, AccessRequest } from '../access.ts';
import type { Identity } from '../identity.ts';
import { createIssuers } from '../oidc/issuers.ts';
import { Attempts } from '../passwords/attempts.ts';
import { hashPassword } from '../passwords/bcrypt.ts';
import { parseHtpasswd } from '../passwords/htpasswd.ts';
import { createPasswords } from '../passwords/passwords.ts';
import { Policy } from '../policy/policy.ts';
import { memoryStore } from '../testing/memory-store.ts';
import { createBuiltinAccess } from './access.ts';
import { AccessTokens } from './access-tokens.ts';
import { Authenticator, type LoginFailure } from './authenticator.ts';
import { openSigningKeys, readKeys, rotateKeys } from './keys.ts';
import { createTokenService } from './service.ts';
import { Tokens } from './tokens.ts';

const repository = (name: string, ...actions: ('pull' | 'push' | 'delete')[]): Access => ({
  type: 'repository',
  name: parseRepositoryName(name),
  actions,
});
const catalog: Access = { type: 'registry', name: 'catalog', actions: ['*'] };
const search: Access = { type: 'registry', name: 'search', actions: ['*'] };
const hour = 3_600_000;
const minute = 60_000;

const closing: (() => void)[] = [];
afterEach(() => {
  vi.useRealTimers();
  for (const close of closing.splice(0)) close();
});

/** One file for all replicas. */
const users = `alice:${await hashPassword('secret', 4)}\nbob:${await hashPassword('bobs', 4)}`;

async function replica(store = memoryStore()) {
  const keys = await openSigningKeys({ store, readOnly: false, onFault: () => undefined });
  closing.push(() => keys.close());
  let policy = new Policy({
    rules: [
      { repositories: ['public/**'], who: ['anonymous'], actions: ['pull', 'catalog'] },
      { repositories: ['team/**'], who: ['user:alice'], actions: ['push'] },
      { repositories: ['search'], who: ['user:alice'], actions: ['pull'] },
    ],
    groups: {},
  });
  const passwords = createPasswords(parseHtpasswd(users));
  const accessTokens = new AccessTokens(store, { readOnly: false });
  const failures: LoginFailure[] = [];
  const authenticator = new Authenticator({
    passwords,
    tokens: accessTokens,
    issuers: createIssuers({ issuers: [], algorithms: [], onFault: () => undefined }),
    attempts: new Attempts({ wait: async () => {} }),
    certificates: 'commonname',
    onFailure: (failure) => failures.push(failure),
  });
  const tokens = new Tokens({ keys, service: 'berth', lifetime: 5 * minute, loginLifetime: 24 * hour });
  const service = createTokenService({ authenticator, tokens, keys, policy: () => policy });
  const access = createBuiltinAccess({
    authenticator,
    tokens,
    policy: () => policy,
    service: 'berth',
    realm: (origin) => `${origin}/auth/token`,
  });
  const request = (authorization?: string, over: Partial<AccessRequest> = {}): AccessRequest => ({
    authorization,
    origin: 'http://registry.example',
    remoteAddress: '10.0.0.1',
    certificate: undefined,
    ...over,
  });
  return {
    store,
    keys,
    passwords,
    accessTokens,
    tokens,
    service,
    access,
    request,
    failures,
    setPolicy: (next: Policy) => {
      policy = next;
    },
    authorize: (authorization: string | undefined, ...wanted: Access[]) =>
      access.authorize(request(authorization), wanted),
    withCertificate: (commonName: string, ...wanted: Access[]) =>
      access.authorize(request(undefined, { certificate: { commonName, dnsNames: [], emails: [], uris: [] } }), wanted),
    issue: (credentials: Parameters<typeof service.issue>[0]['credentials'], ...wanted: Access[]) =>
      service.issue({ credentials, access: wanted, offline: true, remoteAddress: '10.0.0.1', certificate: undefined }),
  };
}

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
const alice = { user: 'alice', password: 'secret' };

describe('a token', () => {
  test('gives what was asked for, as far as it is allowed', async () => {
    const { issue, authorize } = await replica();
    const { token, scope } = await issue(
      alice,
      repository('team/a', 'pull', 'push', 'delete'),
      repository('bob/x', 'pull'),
    );
    expect(scope).toBe('repository:team/a:pull,push');
    expect(await authorize(`Bearer ${token}`, repository('team/a', 'pull', 'push'))).toMatchObject({
      subject: 'alice',
    });
    for (const wanted of [
      repository('team/a', 'delete'),
      repository('team/b', 'pull'),
      repository('bob/x', 'pull'),
      catalog,
    ]) {
      await expect(authorize(`Bearer ${token}`, wanted)).rejects.toMatchObject({
        code: 'UNAUTHORIZED',
        headers: { 'WWW-Authenticate': expect.stringContaining('error="insufficient_scope"') },
      });
    }
  });

  test('of anybody gives what is public', async () => {
    const { issue, authorize } = await replica();
    const { token, scope, refreshToken } = await issue(undefined, repository('public/a', 'pull', 'push'), catalog);
    expect(scope).toBe('repository:public/a:pull registry:catalog:*');
    expect(refreshToken).toBeUndefined();
    const authorized = await authorize(`Bearer ${token}`, repository('public/a', 'pull'));
    expect(authorized.subject).toBe('');
    expect(authorized.sees(parseRepositoryName('public/b'))).toBe(true);
    expect(authorized.sees(parseRepositoryName('team/a'))).toBe(false);
  });

  test('does not let a mount read what it does not name', async () => {
    const { issue, authorize } = await replica();
    const { token } = await issue(alice, repository('team/a', 'pull', 'push'));
    const authorized = await authorize(`Bearer ${token}`, repository('team/a', 'push'));
    const reads = (name: string) =>
      authorized.allows({ type: 'repository', name: parseRepositoryName(name), actions: ['pull'] });
    expect([reads('team/a'), reads('team/b'), reads('public/a')]).toEqual([true, false, false]);
  });

  test('is nothing without the policy: what that takes back is gone at once', async () => {
    const { issue, authorize, setPolicy } = await replica();
    const { token } = await issue(alice, repository('team/a', 'pull'));
    setPolicy(new Policy({ rules: [], groups: {} }));
    await expect(authorize(`Bearer ${token}`, repository('team/a', 'pull'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
  });

  test('is nothing without its user', async () => {
    const { issue, authorize, passwords } = await replica();
    const { token, refreshToken = '' } = await issue(alice, repository('team/a', 'pull'));
    passwords.replace(parseHtpasswd(''));
    await expect(authorize(`Bearer ${token}`, repository('team/a', 'pull'))).rejects.toMatchObject({
      headers: { 'WWW-Authenticate': expect.stringContaining('error="invalid_token"') },
    });
    await expect(issue({ refreshToken })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('named search is about a repository like any other', async () => {
    const { issue, authorize } = await replica();
    const { token } = await issue(alice, repository('team/a', 'pull'));
    await expect(authorize(`Bearer ${token}`, repository('search', 'pull'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
    expect(await authorize(`Bearer ${token}`, search)).toMatchObject({ subject: 'alice' });
  });

  test('of one replica is taken by another, which has not seen its key', async () => {
    const store = memoryStore();
    const [one, other] = [await replica(store), await replica(store)];
    expect(await readKeys(store, () => {})).toHaveLength(1);
    const { kid, before } = await rotateKeys(store, hour);
    const third = await replica(store);
    // The key before it, until the others have had the time to see the new one.
    expect(third.keys.current.kid).toBe(before[0]?.kid);
    vi.useFakeTimers({ now: Date.now() + 31_000, toFake: ['Date'] });
    expect(third.keys.current.kid).toBe(kid);
    const { token } = await third.issue(alice, repository('team/a', 'pull'));
    for (const { authorize } of [one, other]) {
      expect(await authorize(`Bearer ${token}`, repository('team/a', 'pull'))).toMatchObject({ subject: 'alice' });
    }
  });

  test('ends with its key, though it was found good before', async () => {
    const { issue, authorize, store, keys } = await replica();
    const { token } = await issue(alice, repository('team/a', 'pull'));
    expect(await authorize(`Bearer ${token}`, repository('team/a', 'pull'))).toMatchObject({ subject: 'alice' });
    const { kid } = await rotateKeys(store, 0);
    vi.useFakeTimers({ now: Date.now() + 6_000, toFake: ['Date'] });
    await keys.find(kid);
    await expect(authorize(`Bearer ${token}`, repository('team/a', 'pull'))).rejects.toMatchObject({
      headers: { 'WWW-Authenticate': expect.stringContaining('error="invalid_token"') },
    });
    expect((await issue(alice)).token).not.toBe('');
  });

  test('is made though a key in the storage is damaged', async () => {
    const { store } = await replica();
    store.values.set('keys/damaged', Buffer.from('{}'));
    const { issue } = await replica(store);
    expect((await issue(alice)).token).not.toBe('');
  });

  test('lives no longer than what it was given for', async () => {
    const { accessTokens, issue } = await replica();
    const expires = new Date(Date.now() + 2 * minute);
    const { token } = await accessTokens.create({
      name: 'ci',
      repositories: ['team/**'],
      actions: ['pull'],
      expires,
    });
    const issued = await issue({ user: 'x', password: token }, repository('team/a', 'pull'));
    expect(issued.expiresIn).toBeLessThanOrEqual(120);
    expect((decodeJwt(issued.token).exp ?? 0) * 1000).toBeLessThanOrEqual(expires.getTime());
  });

  test('for too much is refused', async () => {
    const { issue } = await replica();
    const wanted = Array.from({ length: 50 }, (_, index) => repository(`public/${'a'.repeat(200)}${index}`, 'pull'));
    await expect(issue(undefined, ...wanted)).rejects.toMatchObject({ code: 'TOKEN_REQUEST_INVALID' });
  });

  test('shows in lists what it names, and all when it is for listing', async () => {
    const { issue, authorize } = await replica();
    const seen = async (...wanted: Access[]) => {
      const authorized = await authorize(`Bearer ${(await issue(alice, ...wanted)).token}`, search);
      return ['public/a', 'team/a', 'team/b', 'bob/a'].filter((name) => authorized.sees(parseRepositoryName(name)));
    };
    expect(await seen()).toEqual(['public/a']);
    expect(await seen(repository('team/a', 'pull'))).toEqual(['public/a', 'team/a']);
    expect(await seen(search)).toEqual(['public/a', 'team/a', 'team/b']);
    expect(await seen(catalog)).toEqual(['public/a', 'team/a', 'team/b']);
  });

  test('ends with its time, with a minute for clocks that differ', async () => {
    const { issue, authorize } = await replica();
    const { token } = await issue(alice, repository('team/a', 'pull'));
    const now = Date.now();
    for (const [after, ends] of [
      [5.9 * minute, false],
      [6.1 * minute, true],
    ] as const) {
      vi.useFakeTimers({ now: now + after, toFake: ['Date'] });
      const answer = authorize(`Bearer ${token}`, repository('team/a', 'pull'));
      if (ends) await expect(answer).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
      else expect(await answer).toMatchObject({ subject: 'alice' });
    }
  });

  test('outlives a rotation of the keys for the overlap, and not a revocation', async () => {
    const store = memoryStore();
    const before = await replica(store);
    const { token, refreshToken = '' } = await before.issue(alice, repository('team/a', 'pull'));
    await rotateKeys(store, hour);
    const after = await replica(store);
    expect(await after.authorize(`Bearer ${token}`, repository('team/a', 'pull'))).toMatchObject({ subject: 'alice' });
    expect((await after.issue({ refreshToken })).token).not.toBe('');
    expect(after.service.keySet().keys).toHaveLength(2);
    expect(JSON.stringify(after.service.keySet())).not.toContain('"d"');

    await rotateKeys(store, 0);
    const last = await replica(store);
    await expect(last.authorize(`Bearer ${token}`, repository('team/a', 'pull'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
    await expect(last.issue({ refreshToken })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });
});

describe('a forged token', () => {
  const everything = [{ type: 'repository', name: 'team/a', actions: ['pull', 'push', 'delete'] }];
  const identity: Identity = { kind: 'user', name: 'alice' };

  async function refused(forge: (parts: Awaited<ReturnType<typeof replica>>) => Promise<string>) {
    const parts = await replica();
    await expect(parts.authorize(`Bearer ${await forge(parts)}`, repository('team/a', 'pull'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      headers: { 'WWW-Authenticate': expect.stringContaining('error="invalid_token"') },
    });
  }

  const claims = () =>
    new SignJWT({ access: everything, identity })
      .setIssuer('berth')
      .setAudience('berth')
      .setIssuedAt()
      .setNotBefore('0s')
      .setExpirationTime('5m');
  const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  test('by a foreign key with our id', () =>
    refused(({ keys }) =>
      claims().setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: keys.current.kid }).sign(foreign.privateKey),
    ));

  test('that brings its own key along', async () => {
    const jwk = await exportJWK(foreign.publicKey);
    await refused(({ keys }) =>
      claims().setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: keys.current.kid, jwk }).sign(foreign.privateKey),
    );
    await refused(() => claims().setProtectedHeader({ alg: 'ES256', typ: 'JWT', jwk }).sign(foreign.privateKey));
  });

  test('signed with our public key as a shared secret', () =>
    refused(async ({ keys }) => {
      const secret = new TextEncoder().encode(JSON.stringify(keys.current.jwk));
      return claims().setProtectedHeader({ alg: 'HS256', typ: 'JWT', kid: keys.current.kid }).sign(secret);
    }));

  test('without a signature', () =>
    refused(async ({ keys, issue }) => {
      const [, payload] = (await issue(alice, repository('team/a', 'pull'))).token.split('.');
      const header = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT', kid: keys.current.kid })).toString(
        'base64url',
      );
      return `${header}.${payload}.`;
    }));

  test('with other claims under the signature', () =>
    refused(async ({ issue }) => {
      const { token } = await issue({ user: 'bob', password: 'bobs' }, repository('team/a', 'pull'));
      const [header, , signature] = token.split('.');
      const payload = { ...decodeJwt(token), identity, access: everything };
      return `${header}.${Buffer.from(JSON.stringify(payload)).toString('base64url')}.${signature}`;
    }));

  test('that is a login', () => refused(async ({ issue }) => (await issue(alice)).refreshToken ?? ''));

  test.each([
    ['another audience', (token: SignJWT) => token.setAudience('other')],
    ['another issuer', (token: SignJWT) => token.setIssuer('other')],
    ['a time that is over', (token: SignJWT) => token.setExpirationTime('-2m')],
    ['a time that has not begun', (token: SignJWT) => token.setNotBefore('2m')],
  ])('of ours with %s', async (_, change) => {
    await refused(({ keys }) =>
      change(claims())
        .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: keys.current.kid })
        .sign(keys.current.privateKey),
    );
  });

  test.each(['', 'x', 'a.b.c', `${'x'.repeat(40_000)}.y.z`])('that is none', async (text) => {
    await refused(async () => text || '-');
  });
});

describe('a login', () => {
  test('says who it is without the password, until that changes', async () => {
    const { issue, passwords } = await replica();
    const { refreshToken = '' } = await issue(alice);
    expect(decodeProtectedHeader(refreshToken).typ).toBe('login+jwt');
    const { scope } = await issue({ refreshToken }, repository('team/a', 'pull'));
    expect(scope).toBe('repository:team/a:pull');
    passwords.replace(parseHtpasswd(`alice:${await hashPassword('new', 4)}`));
    await expect(issue({ refreshToken })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('is not a bearer token turned round', async () => {
    const { issue } = await replica();
    const { token } = await issue(alice);
    await expect(issue({ refreshToken: token })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('that fails is told, with nothing that is secret', async () => {
    const { issue, failures } = await replica();
    await expect(issue({ user: 'alice', password: 'guessed' })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(issue({ user: 'x', password: 'berth_guessed' })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    expect(failures).toEqual([
      { account: 'alice', address: '10.0.0.1', reason: 'password' },
      { account: 'x', address: '10.0.0.1', reason: 'access token' },
    ]);
  });
});

describe('an access token', () => {
  const given = { name: 'ci', repositories: ['team/**'], actions: ['push' as const] };

  test('stands for a password, with any user name, for what it was made for', async () => {
    const { accessTokens, issue, authorize } = await replica();
    const { token } = await accessTokens.create(given);
    expect(token).toMatch(/^berth_[0-9A-Za-z]{55}$/);
    const credentials = { user: 'whoever', password: token };
    expect((await issue(credentials, repository('team/a', 'pull', 'push', 'delete'))).scope).toBe(
      'repository:team/a:pull,push',
    );
    expect(await authorize(basic('x', token), repository('team/a', 'push'))).toMatchObject({ subject: 'token:ci' });
    await expect(authorize(basic('x', token), repository('bob/a', 'pull'))).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('is kept hashed', async () => {
    const { accessTokens, store } = await replica();
    const { token } = await accessTokens.create(given);
    expect(Buffer.concat([...store.values.values()]).toString()).not.toContain(token.slice(-43));
  });

  test('is refused when one letter differs, and with the id of another', async () => {
    const { accessTokens } = await replica();
    const [one, other] = [await accessTokens.create(given), await accessTokens.create({ ...given, name: 'other' })];
    const last = one.token.endsWith('A') ? 'B' : 'A';
    expect(await accessTokens.identify(one.token.slice(0, -1) + last)).toBeUndefined();
    expect(await accessTokens.identify(`berth_${other.id}${one.token.slice(-43)}`)).toBeUndefined();
    expect(await accessTokens.identify(`berth_${'../keys/x'.padEnd(55, 'x')}`)).toBeUndefined();
    expect(await accessTokens.identify(one.token)).toMatchObject({ identity: { kind: 'token', name: 'ci' } });
  });

  test('that was revoked is nothing within ten seconds, nor is the login made with it', async () => {
    const { accessTokens, issue } = await replica();
    const { id, token } = await accessTokens.create(given);
    const { refreshToken = '' } = await issue({ user: 'x', password: token });
    expect((await issue({ refreshToken })).token).not.toBe('');
    expect(await new AccessTokens((await replica()).store, { readOnly: false }).revoke(id)).toBe(false);
    expect(await accessTokens.revoke(id)).toBe(true);
    await expect(issue({ user: 'x', password: token })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    await expect(issue({ refreshToken })).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('that is over is nothing', async () => {
    const { accessTokens } = await replica();
    const { token } = await accessTokens.create({ ...given, expires: new Date(Date.now() + hour) });
    expect(await accessTokens.identify(token)).toBeDefined();
    vi.useFakeTimers({ now: Date.now() + hour + 1, toFake: ['Date'] });
    expect(await accessTokens.identify(token)).toBeUndefined();
  });

  test('of a user has no more than the user, and ends with the user', async () => {
    const { accessTokens, issue, passwords } = await replica();
    const { token } = await accessTokens.create({ ...given, user: 'alice', actions: ['pull'] });
    const credentials = { user: 'alice', password: token };
    const wanted = [repository('team/a', 'pull', 'push'), repository('search', 'pull')];
    expect((await issue(credentials, ...wanted)).scope).toBe('repository:team/a:pull');
    passwords.replace(parseHtpasswd(''));
    await expect(issue(credentials)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('is listed with its last use, and has a name of its own', async () => {
    const { accessTokens, issue, store } = await replica();
    const { token } = await accessTokens.create(given);
    await expect(accessTokens.create(given)).rejects.toThrow('there is a token ci already');
    await expect(accessTokens.create({ ...given, name: 'robot$ci' })).rejects.toThrow('must be lower-case');
    await issue({ user: 'x', password: token });
    const listed = [];
    store.values.set('tokens/damaged', Buffer.from('{}'));
    const damaged: string[] = [];
    for await (const one of accessTokens.list(({ message }) => damaged.push(message))) listed.push(one);
    expect(damaged).toEqual(['tokens/damaged in the storage is not an access token']);
    expect(listed).toMatchObject([{ name: 'ci', grants: [{ repositories: ['team/**'], actions: ['push'] }] }]);
    expect(listed[0]?.lastUsed?.getTime()).toBeGreaterThan(Date.now() - minute);
  });
});

describe('a request', () => {
  test('without credentials gets what is public, and a challenge for the rest and for the ping', async () => {
    const { authorize } = await replica();
    expect(await authorize(undefined, repository('public/a', 'pull'))).toMatchObject({ subject: '' });
    const challenges = await Promise.all(
      [[], [repository('team/a', 'pull', 'push')], [repository('missing', 'pull')]].map((wanted) =>
        authorize(undefined, ...wanted).then(
          () => 'let in',
          (error) => error.headers['WWW-Authenticate'],
        ),
      ),
    );
    const front = 'Bearer realm="http://registry.example/auth/token",service="berth"';
    expect(challenges).toEqual([
      front,
      `${front},scope="repository:team/a:pull,push"`,
      `${front},scope="repository:missing:pull"`,
    ]);
  });

  test('is told what else to ask for', async () => {
    const { access, request } = await replica();
    const asked = access.authorize(request(), [repository('bob/a', 'push')], [repository('team/a', 'pull')]);
    await expect(asked).rejects.toMatchObject({
      headers: { 'WWW-Authenticate': expect.stringContaining('scope="repository:bob/a:push repository:team/a:pull"') },
    });
  });

  test('for a search by nobody is sent to log in where nothing is public', async () => {
    const { authorize, setPolicy } = await replica();
    expect(await authorize(undefined, search)).toMatchObject({ subject: '' });
    setPolicy(new Policy({ rules: [{ repositories: ['**'], who: ['users'], actions: ['pull'] }], groups: {} }));
    await expect(authorize(undefined, search)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('with user and password needs no token', async () => {
    const { authorize } = await replica();
    expect(await authorize(basic('alice', 'secret'), repository('team/a', 'push'))).toMatchObject({ subject: 'alice' });
    await expect(authorize(basic('alice', 'secret'), repository('bob/x', 'pull'))).rejects.toMatchObject({
      code: 'DENIED',
    });
    await expect(authorize(basic('alice', 'wrong'), repository('team/a', 'pull'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
    // Wrong ones are not as good as none.
    await expect(authorize(basic('alice', 'wrong'), repository('public/a', 'pull'))).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
    });
  });

  test('with a certificate is whose certificate it is', async () => {
    const { withCertificate, setPolicy } = await replica();
    setPolicy(
      new Policy({ rules: [{ repositories: ['node/*'], who: ['certificate:node-*'], actions: ['pull'] }], groups: {} }),
    );
    expect(await withCertificate('node-7', repository('node/a', 'pull'))).toMatchObject({
      subject: 'certificate:node-7',
    });
    // It may still have a password.
    for (const wanted of [[repository('other', 'pull')], []]) {
      await expect(withCertificate('node-7', ...wanted)).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    }
  });

  test.each(['Digest x', 'Basic', 'Bearer', 'Basic !!!', 'Bearer a b'])(
    'with %j is told what to do',
    async (header) => {
      const { authorize } = await replica();
      await expect(authorize(header, repository('public/a', 'pull'))).rejects.toMatchObject({
        code: 'UNAUTHORIZED',
        headers: { 'WWW-Authenticate': expect.stringMatching(/^Bearer realm=/) },
      });
    },
  );
});
