import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blob, mediaTypes } from '../harness/content.ts';
import { rawConnection } from '../harness/raw-connection.ts';
import { type PrivateRegistry, passwords, startPrivateRegistry } from './private-registry.ts';

/*
 * What has gone wrong elsewhere, each kind as a test; the table in README.md beside this folder says where the others are.
 * Tokens that are forged, expired, for others or of another kind are in matrix.test.ts.
 */

let registry: PrivateRegistry;
beforeAll(async () => {
  registry = await startPrivateRegistry({}, { config: { log: { level: 'debug' } } });
});
afterAll(() => registry?.stop());

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const status = async (path: string, authorization?: string) =>
  (await registry.request('GET', path, authorization)).status;
const form = (fields: Record<string, string>) =>
  registry.request('POST', '/auth/token', undefined, {
    body: String(new URLSearchParams(fields)),
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  });

describe('keys that a token brings along or points at', () => {
  test('are neither believed nor fetched', async () => {
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      response.end('{"keys":[]}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const claims = encode({ iss: url, aud: 'berth', sub: 'root', iat: 0, nbf: 0, exp: 9_999_999_999 });
    for (const header of [
      { alg: 'ES256', typ: 'JWT', jku: url, kid: 'x' },
      { alg: 'ES256', typ: 'JWT', x5u: url, kid: url },
      { alg: 'ES256', typ: 'JWT', kid: '../../../etc/passwd' },
      { alg: 'ES256', typ: 'JWT', x5c: [{ length: 1e9 }], kid: '__proto__' },
      { alg: 'ES256', typ: 'JWT', x5c: { length: 1e9 }, kid: 'constructor' },
    ]) {
      const token = `${encode(header)}.${claims}.${Buffer.alloc(64).toString('base64url')}`;
      const begun = Date.now();
      expect(await status('/v2/team/app/tags/list', `Bearer ${token}`)).toBe(401);
      expect(await status('/v2/', registry.basic('x', token))).toBe(401);
      // A thousand million of anything takes longer.
      expect(Date.now() - begun).toBeLessThan(5_000);
    }
    expect(asked).toBe(0);
    server.close();
  });
});

describe('one kind of proof in the place of another', () => {
  test.each([
    [
      'a token as the password',
      async () => form({ grant_type: 'password', username: 'root', password: await registry.token('root') }),
    ],
    [
      'a token as a login',
      async () => form({ grant_type: 'refresh_token', refresh_token: await registry.token('root') }),
    ],
    ['nothing as the password', () => form({ grant_type: 'password', username: 'root', password: '' })],
    ['no user and no password', () => form({ grant_type: 'password' })],
    ['an empty login', () => form({ grant_type: 'refresh_token', refresh_token: '' })],
    ['a hash as the password', async () => form({ grant_type: 'password', username: 'root', password: '$2y$05$' })],
  ])('%s is refused', async (_, request) => {
    const reply = await request();
    expect(reply.status, String(reply)).toBe(401);
    expect(reply.json()).not.toHaveProperty('token');
  });

  test('a form is never taken for an anonymous one', async () => {
    for (const fields of [{}, { grant_type: 'authorization_code' }, { grant_type: 'client_credentials' }]) {
      expect((await form(fields)).status).toBe(400);
    }
  });

  test('who somebody is, is not asked of the query', async () => {
    const reply = await registry.request(
      'GET',
      '/auth/token?account=root&username=root&scope=repository:team/app:pull,push',
    );
    const { token } = reply.json() as { token: string };
    expect(await status('/v2/team/app/tags/list', `Bearer ${token}`)).toBe(401);
  });
});

describe('what ends up in headers', () => {
  test.each(['evil",service="other', 'evil\\', 'a b', 'évil', 'user@evil', 'evil/path?query'])(
    'the host %j does not change what the challenge says',
    async (host) => {
      const raw = await rawConnection(registry.server.host);
      raw.write(Buffer.from(`GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`, 'latin1'));
      const response = await raw.response();
      expect([400, 401]).toContain(response.status);
      const challenge = response.headers.get('www-authenticate');
      if (response.status === 401) {
        expect(challenge).toMatch(/^Bearer realm="http:\/\/[A-Za-z0-9.:[\]-]+\/auth\/token",service="berth"$/);
      }
      raw.destroy();
    },
  );

  test('a host of a proxy that is none is not used either', async () => {
    for (const headers of [
      { 'X-Forwarded-Host': 'evil",x="' },
      { Forwarded: 'host="evil\\",x=\\""' },
      { 'X-Forwarded-Proto': 'javascript', 'X-Forwarded-Host': 'evil' },
    ] as Record<string, string>[]) {
      const reply = await registry.request('GET', '/v2/', undefined, { headers });
      expect(reply.header('www-authenticate')).toMatch(
        /^Bearer realm="https?:\/\/[A-Za-z0-9.:[\]-]+\/auth\/token",service="berth"$/,
      );
    }
  });

  test('answers with tokens are kept nowhere, and no other site may read them', async () => {
    const reply = await registry.request('GET', '/auth/token', registry.basic('root'), {
      headers: { Origin: 'https://evil.example' },
    });
    expect(reply.status).toBe(200);
    expect(reply.header('cache-control')).toBe('no-store');
    expect(reply.header('access-control-allow-origin')).toBeUndefined();
  });
});

describe('requests of any size', () => {
  test('a form has a limit', async () => {
    const body = `grant_type=password&username=x&password=${'x'.repeat(200_000)}`;
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const reply = await registry.request('POST', '/auth/token', undefined, { body, headers });
    expect(reply.status).toBe(400);
  });

  test('scopes without end give a token of a size that servers take, or none', async () => {
    const scope = Array.from({ length: 300 }, (_, index) => `repository:public/${index}:pull`).join('+');
    const reply = await registry.request('GET', `/auth/token?scope=${scope}`);
    expect([200, 400]).toContain(reply.status);
    if (reply.status === 200) expect((reply.json() as { token: string }).token.length).toBeLessThanOrEqual(8192);
    const long = Array.from({ length: 60 }, (_, index) => `repository:public/${'x'.repeat(200)}${index}:pull`).join(
      '+',
    );
    expect((await registry.request('GET', `/auth/token?scope=${long}`)).status).toBe(400);
  });

  test('names made to be slow to match are not', async () => {
    const slow = await startPrivateRegistry({
      policy: [{ repositories: [`${'**a'.repeat(20)}`], who: ['anonymous'], actions: ['pull'] }],
    });
    const begun = Date.now();
    for (let count = 0; count < 20; count += 1) {
      const reply = await slow.request('GET', `/v2/${'a'.repeat(200)}b/tags/list`);
      expect(reply.status).toBe(401);
    }
    expect(Date.now() - begun).toBeLessThan(5_000);
    await slow.stop();
  });

  test('a form that never ends holds nothing up', async () => {
    const [host, port] = registry.server.host.split(':');
    const sockets = Array.from({ length: 20 }, () => {
      const socket = connect(Number(port), host);
      socket.on('error', () => {});
      socket.write(
        'POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ngrant',
      );
      return socket;
    });
    expect((await registry.request('GET', '/auth/token', registry.basic('root'))).status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });
});

describe('paths', () => {
  test.each([
    '/v2/_berth/auth/keys/tags/list',
    '/v2/../_berth/auth/tags/list',
    '/v2/%2e%2e/_berth/auth/tags/list',
    '/v2/team%2f..%2f..%2f_berth/blobs/sha256:x',
    '/_berth/auth/keys',
    '/auth/../_berth/auth/keys',
    '/auth/token/..%2fkeys',
  ])('%s leads to no key', async (path) => {
    const raw = await rawConnection(registry.server.host);
    raw.write(
      `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${`Authorization: ${registry.basic('root')}\r\n`}\r\n`,
    );
    const response = await raw.response();
    expect([400, 404]).toContain(response.status);
    expect(String(response.body)).not.toMatch(/"d":|"kty"/);
    raw.destroy();
  });

  test('public keys have nothing private', async () => {
    const { keys } = (await registry.request('GET', '/auth/jwks.json')).json() as { keys: object[] };
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  });
});

test('two headers of credentials are not added up', async () => {
  const raw = await rawConnection(registry.server.host);
  const [bob, root] = [registry.basic('bob'), registry.basic('root')];
  raw.write(
    `GET /v2/team/app/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${bob}\r\nAuthorization: ${root}\r\n\r\n`,
  );
  expect((await raw.response()).status).toBe(401);
  raw.destroy();
});

test('who may push cannot delete, whichever way', async () => {
  const layer = blob('pushed by writer');
  const writer = registry.basic('writer');
  const pushed = await registry.request('POST', `/v2/team/app/blobs/uploads/?digest=${layer.digest}`, writer, {
    body: layer.bytes,
  });
  expect(pushed.status).toBe(201);
  for (const path of [`/v2/team/app/blobs/${layer.digest}`, '/v2/team/app/manifests/v1']) {
    expect((await registry.request('DELETE', path, writer)).status).toBe(403);
    const override = { headers: { 'X-HTTP-Method-Override': 'DELETE' } };
    expect((await registry.request('POST', path, writer, override)).status).toBe(405);
  }
  expect(await status(`/v2/team/app/blobs/${layer.digest}`, writer)).toBe(200);
});

test('deletion that is switched off is off for administrators too', async () => {
  const locked = await startPrivateRegistry({}, { config: { storage: { delete: { enabled: false } } } });
  const layer = blob('stays');
  const root = locked.basic('root');
  await locked.request('POST', `/v2/team/app/blobs/uploads/?digest=${layer.digest}`, root, { body: layer.bytes });
  const manifest = blob(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.image,
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: layer.digest, size: layer.bytes.length },
      layers: [],
    }),
  );
  const put = await locked.request('PUT', '/v2/team/app/manifests/v1', root, {
    body: manifest.bytes,
    headers: { 'Content-Type': mediaTypes.image },
  });
  expect(put.status, String(put)).toBe(201);
  for (const path of [`blobs/${layer.digest}`, 'manifests/v1', `manifests/${manifest.digest}`]) {
    expect((await locked.request('DELETE', `/v2/team/app/${path}`, root)).status).toBe(405);
    expect((await locked.request('GET', `/v2/team/app/${path}`, root)).status).toBe(200);
  }
  await locked.stop();
});

test('what was deleted is not read again by who has read it before', async () => {
  const layer = blob('read, then deleted');
  const [reader, root] = [
    `Bearer ${await registry.token('reader', 'repository:team/app:pull')}`,
    registry.basic('root'),
  ];
  const path = `/v2/team/app/blobs/${layer.digest}`;
  await registry.request('POST', `/v2/team/app/blobs/uploads/?digest=${layer.digest}`, root, { body: layer.bytes });
  expect(await status(path, reader)).toBe(200);
  expect((await registry.request('DELETE', path, root)).status).toBe(202);
  expect(await status(path, reader)).toBe(404);
});

test('the log holds no secret', async () => {
  const token = (await registry.berth(['token', 'create', '-n', 'logged', '-r', 'team/**'])).trim();
  const reply = await registry.request('GET', '/auth/token?offline_token=true', registry.basic('reader'));
  const { refresh_token: login, token: bearer } = reply.json() as { refresh_token: string; token: string };
  await form({ grant_type: 'refresh_token', refresh_token: login });
  await form({ grant_type: 'refresh_token', refresh_token: `${login.slice(0, -3)}xxx` });
  await form({ grant_type: 'password', username: 'reader', password: 'a wrong guess' });
  await status('/v2/', `Bearer ${bearer}`);
  await status('/v2/', `Bearer ${bearer.slice(0, -3)}xxx`);
  await status('/v2/', registry.basic('reader', token));
  // Put where the name belongs, by mistake.
  await status('/v2/', registry.basic(token, ''));
  await status('/v2/', registry.basic(bearer, 'x'));
  await delay(200);
  const logs = registry.server.logs();
  expect(logs).toContain('login failed');
  const secrets = [
    token,
    token.slice(-30),
    login,
    bearer,
    bearer.slice(-30),
    'a wrong guess',
    ...Object.values(passwords),
  ];
  for (const secret of secrets) expect(logs.includes(secret), secret.slice(0, 12)).toBe(false);
});

test('who guesses is slowed down, and who knows the password is not', async () => {
  const guessed = await startPrivateRegistry({}, { config: { http: { debug: {} } } });
  const ping = async (user: string, password?: string) => {
    const begun = Date.now();
    const reply = await guessed.request('GET', '/v2/', guessed.basic(user, password));
    return { status: reply.status, seconds: (Date.now() - begun) / 1000, retry: reply.header('retry-after') };
  };
  expect((await ping('reader')).status).toBe(200);
  const guesses = await Promise.all(Array.from({ length: 30 }, (_, index) => ping('reader', `guess ${index}`)));
  const refused = guesses.filter((guess) => guess.status === 429);
  // Three at once, four that wait; the rest are told to come back.
  expect(guesses.filter((guess) => guess.status === 401)).toHaveLength(7);
  expect(refused).toHaveLength(23);
  expect(refused.every(({ retry }) => Number(retry) > 0)).toBe(true);
  const known = await ping('reader');
  expect(known.status).toBe(200);
  expect(known.seconds).toBeLessThan(1);
  expect((await ping('writer')).status).toBe(200);
  await guessed.stop();
});
