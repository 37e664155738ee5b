import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blob, mediaTypes } from '../harness/content.ts';
import { type PrivateRegistry, startPrivateRegistry, type User } from './private-registry.ts';

/*
 * Every route, by every kind of caller, with every kind of proof: one table of what there is to do and one of who comes.
 * What must come out follows from the two, and from nothing else.
 */

type Action = 'pull' | 'push' | 'delete';

let registry: PrivateRegistry;
const config = blob('{}', 'application/vnd.oci.image.config.v1+json');
const layer = blob('a layer');
const manifest = blob(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.image,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config.digest, size: config.bytes.length },
    layers: [{ mediaType: mediaTypes.layer, digest: layer.digest, size: layer.bytes.length }],
  }),
  mediaTypes.image,
);

beforeAll(async () => {
  registry = await startPrivateRegistry({ tokenlifetime: '1m' });
  for (const name of ['team/app', 'public/app', 'team/source']) await pushImage(name);
});
afterAll(() => registry?.stop());

async function pushImage(name: string): Promise<void> {
  const root = registry.basic('root');
  for (const { bytes, digest } of [config, layer]) {
    const reply = await registry.request('POST', `/v2/${name}/blobs/uploads/?digest=${digest}`, root, {
      body: bytes,
      headers: { 'Content-Type': 'application/octet-stream' },
    });
    expect(reply.status, String(reply)).toBe(201);
  }
  const reply = await registry.request('PUT', `/v2/${name}/manifests/v1`, root, {
    body: manifest.bytes,
    headers: { 'Content-Type': mediaTypes.image },
  });
  expect(reply.status, String(reply)).toBe(201);
}

/** An upload that somebody who may has begun. */
async function upload(name: string): Promise<string> {
  const reply = await registry.request('POST', `/v2/${name}/blobs/uploads/`, registry.basic('root'));
  return reply.header('location') ?? '';
}

interface Operation {
  readonly title: string;
  readonly method: string;
  /** On a repository; resolves with the path. */
  readonly path: (name: string) => string | Promise<string>;
  readonly needs: readonly Action[];
  /** What is answered to who may. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Makes again what the operation takes away. */
  readonly restore?: boolean;
}

const manifestHeaders = { 'Content-Type': mediaTypes.image };
const operations: readonly Operation[] = [
  { title: 'manifest by tag', method: 'GET', path: (name) => `/v2/${name}/manifests/v1`, needs: ['pull'], status: 200 },
  {
    title: 'manifest by tag',
    method: 'HEAD',
    path: (name) => `/v2/${name}/manifests/v1`,
    needs: ['pull'],
    status: 200,
  },
  {
    title: 'manifest by digest',
    method: 'GET',
    path: (name) => `/v2/${name}/manifests/${manifest.digest}`,
    needs: ['pull'],
    status: 200,
  },
  {
    title: 'manifest that the client has',
    method: 'GET',
    path: (name) => `/v2/${name}/manifests/v1`,
    needs: ['pull'],
    status: 304,
    headers: { 'If-None-Match': `"${manifest.digest}"` },
  },
  { title: 'blob', method: 'GET', path: (name) => `/v2/${name}/blobs/${layer.digest}`, needs: ['pull'], status: 200 },
  { title: 'blob', method: 'HEAD', path: (name) => `/v2/${name}/blobs/${layer.digest}`, needs: ['pull'], status: 200 },
  {
    title: 'part of a blob',
    method: 'GET',
    path: (name) => `/v2/${name}/blobs/${layer.digest}`,
    needs: ['pull'],
    status: 206,
    headers: { Range: 'bytes=0-1' },
  },
  {
    title: 'blob that the client has',
    method: 'GET',
    path: (name) => `/v2/${name}/blobs/${layer.digest}`,
    needs: ['pull'],
    status: 304,
    headers: { 'If-None-Match': `"${layer.digest}"` },
  },
  { title: 'tags', method: 'GET', path: (name) => `/v2/${name}/tags/list`, needs: ['pull'], status: 200 },
  {
    title: 'referrers',
    method: 'GET',
    path: (name) => `/v2/${name}/referrers/${manifest.digest}`,
    needs: ['pull'],
    status: 200,
  },
  {
    title: 'upload',
    method: 'POST',
    path: (name) => `/v2/${name}/blobs/uploads/`,
    needs: ['pull', 'push'],
    status: 202,
  },
  {
    title: 'upload at once',
    method: 'POST',
    path: (name) => `/v2/${name}/blobs/uploads/?digest=${layer.digest}`,
    needs: ['pull', 'push'],
    status: 201,
    body: layer.bytes,
  },
  {
    title: 'mount from the repository itself',
    method: 'POST',
    path: (name) => `/v2/${name}/blobs/uploads/?mount=${layer.digest}&from=${name}`,
    needs: ['pull', 'push'],
    status: 201,
  },
  { title: 'state of an upload', method: 'GET', path: upload, needs: ['pull', 'push'], status: 204 },
  { title: 'chunk', method: 'PATCH', path: upload, needs: ['pull', 'push'], status: 202, body: layer.bytes },
  {
    title: 'end of an upload',
    method: 'PUT',
    path: async (name) => `${await upload(name)}?digest=${layer.digest}`,
    needs: ['pull', 'push'],
    status: 201,
    body: layer.bytes,
  },
  { title: 'end of an upload without bytes', method: 'DELETE', path: upload, needs: ['pull', 'push'], status: 204 },
  {
    title: 'manifest',
    method: 'PUT',
    path: (name) => `/v2/${name}/manifests/v2`,
    needs: ['pull', 'push'],
    status: 201,
    body: manifest.bytes,
    headers: manifestHeaders,
  },
  {
    title: 'tag',
    method: 'DELETE',
    path: (name) => `/v2/${name}/manifests/v1`,
    needs: ['delete'],
    status: 202,
    restore: true,
  },
  {
    title: 'manifest',
    method: 'DELETE',
    path: (name) => `/v2/${name}/manifests/${manifest.digest}`,
    needs: ['delete'],
    status: 202,
    restore: true,
  },
  {
    title: 'blob',
    method: 'DELETE',
    path: (name) => `/v2/${name}/blobs/${layer.digest}`,
    needs: ['delete'],
    status: 202,
    restore: true,
  },
];

/** What each user may do in `team/app`; nobody else may anything. */
const rights: Readonly<Partial<Record<User, readonly Action[]>>> = {
  reader: ['pull'],
  writer: ['pull', 'push'],
  deleter: ['delete'],
  root: ['pull', 'push', 'delete'],
};

type Outcome = 'allowed' | { readonly status: 401 | 403; readonly challenge?: RegExp };
const bearer = (fault?: string): Outcome => ({
  status: 401,
  challenge: fault === undefined ? /^Bearer .*scope="[^"]*"$/ : new RegExp(`^Bearer .*error="${fault}"$`),
});

interface Caller {
  readonly title: string;
  readonly may: readonly Action[];
  readonly refused: Outcome;
  /** Resolves with the `Authorization` header. */
  readonly proof: (name: string) => Promise<string | undefined>;
}

const scopeOf = (name: string) => `repository:${name}:pull,push,delete`;
const users: readonly User[] = ['alice', 'reader', 'writer', 'deleter', 'root'];

const callers: readonly Caller[] = [
  { title: 'nobody', may: [], refused: bearer(), proof: async () => undefined },
  {
    title: 'an anonymous token',
    may: [],
    refused: bearer('insufficient_scope'),
    proof: async (name) => `Bearer ${await registry.token(undefined, scopeOf(name))}`,
  },
  ...users.map((user) => ({
    title: `the token of ${user}`,
    may: rights[user] ?? [],
    refused: bearer('insufficient_scope'),
    proof: async (name: string) => `Bearer ${await registry.token(user, scopeOf(name))}`,
  })),
  ...users.map(
    (user): Caller => ({
      title: `the password of ${user}`,
      may: rights[user] ?? [],
      refused: { status: 403 },
      proof: async () => registry.basic(user),
    }),
  ),
  { title: 'a wrong password of root', may: [], refused: bearer(), proof: async () => registry.basic('root', 'wrong') },
  { title: 'a user who is not there', may: [], refused: bearer(), proof: async () => registry.basic('nobody', 'x') },
  {
    title: 'a token of root for another repository',
    may: [],
    refused: bearer('insufficient_scope'),
    proof: async () => `Bearer ${await registry.token('root', scopeOf('team/other'))}`,
  },
  {
    title: 'a token of root without scopes',
    may: [],
    refused: bearer('insufficient_scope'),
    proof: async () => `Bearer ${await registry.token('root')}`,
  },
  {
    title: 'a token of root to pull',
    may: ['pull'],
    refused: bearer('insufficient_scope'),
    proof: async (name) => `Bearer ${await registry.token('root', `repository:${name}:pull`)}`,
  },
  {
    title: 'a token that a foreign key has signed',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${forge(await registry.token('root', scopeOf(name)))}`,
  },
  {
    title: 'a token with other claims',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${tamper(await registry.token('alice', scopeOf(name)), name)}`,
  },
  {
    title: 'a token that has expired',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${await resign(await registry.token('root', scopeOf(name)), { exp: ago(120) })}`,
  },
  {
    title: 'a token that counts from tomorrow on',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${await resign(await registry.token('root', scopeOf(name)), { nbf: ago(-86_400) })}`,
  },
  {
    title: 'a token for another service',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${await resign(await registry.token('root', scopeOf(name)), { aud: 'other' })}`,
  },
  {
    title: 'a token of another issuer',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${await resign(await registry.token('root', scopeOf(name)), { iss: 'other' })}`,
  },
  {
    title: 'a token of another type',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) =>
      `Bearer ${await resign(await registry.token('root', scopeOf(name)), {}, { typ: 'login+jwt' })}`,
  },
  {
    title: 'a token that was signed again with the key of the registry',
    may: ['pull', 'push', 'delete'],
    refused: bearer(),
    proof: async (name) => `Bearer ${await resign(await registry.token('root', scopeOf(name)), {})}`,
  },
  {
    title: 'a token without a signature',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${unsigned(await registry.token('root', scopeOf(name)))}`,
  },
  {
    title: 'a token that is signed with a public key as a secret',
    may: [],
    refused: bearer('invalid_token'),
    proof: async (name) => `Bearer ${await withSecret(await registry.token('root', scopeOf(name)))}`,
  },
  {
    title: 'a login in place of a token',
    may: [],
    refused: bearer('invalid_token'),
    proof: async () => `Bearer ${await login('root')}`,
  },
  {
    title: 'an access token that was revoked',
    may: [],
    refused: bearer(),
    proof: async () => `Basic ${Buffer.from(`ci:${await revokedToken()}`).toString('base64')}`,
  },
  {
    title: 'something else than Basic and Bearer',
    may: [],
    refused: bearer('invalid_token'),
    proof: async () => 'Digest x',
  },
];

const ago = (seconds: number) => Math.floor(Date.now() / 1000) - seconds;
const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

function partsOf(token: string): { header: object; claims: object; signature: string } {
  const [header = '', payload = '', signature = ''] = token.split('.');
  return { header: decode(header), claims: decode(payload), signature };
}

function signed(header: object, claims: object, key: KeyObject): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** The same claims, signed with a key of our own, which the header brings along. */
function forge(token: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { header, claims } = partsOf(token);
  return signed({ ...header, jwk: publicKey.export({ format: 'jwk' }) }, claims, privateKey);
}

/** Other claims, signed with the key of the registry, which its storage has. */
async function resign(token: string, otherClaims: object, otherHeader: object = {}): Promise<string> {
  const { header, claims } = partsOf(token);
  const { kid } = header as { kid: string };
  const file = join(registry.server.dataDir, '_berth/auth/keys', kid);
  const { jwk } = JSON.parse(await readFile(file, 'utf8'));
  const key = createPrivateKey({ key: jwk, format: 'jwk' });
  return signed({ ...header, ...otherHeader }, { ...claims, ...otherClaims }, key);
}

function unsigned(token: string): string {
  const { header, claims } = partsOf(token);
  return `${encode({ ...header, alg: 'none' })}.${encode(claims)}.`;
}

/** What a verifier takes that lets the header choose the algorithm. */
async function withSecret(token: string): Promise<string> {
  const { header, claims } = partsOf(token);
  const { keys } = (await registry.request('GET', '/auth/jwks.json')).json() as { keys: JsonWebKey[] };
  const key = createPublicKey({ key: keys[0] ?? {}, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
  const text = `${encode({ ...header, alg: 'HS256' })}.${encode(claims)}`;
  return `${text}.${createHmac('sha256', key).update(text).digest('base64url')}`;
}

function tamper(token: string, name: string): string {
  const { header, claims, signature } = partsOf(token);
  const access = [{ type: 'repository', name, actions: ['pull', 'push', 'delete'] }];
  return `${encode(header)}.${encode({ ...claims, access, identity: { kind: 'user', name: 'root' } })}.${signature}`;
}

async function login(user: User): Promise<string> {
  const reply = await registry.request('GET', '/auth/token?offline_token=true&service=berth', registry.basic(user));
  return (reply.json() as { refresh_token: string }).refresh_token;
}

let revoked: Promise<string> | undefined;
function revokedToken(): Promise<string> {
  revoked ??= (async () => {
    const name = `ci-${randomUUID()}`;
    const args = ['token', 'create', '--name', name, '--repository', 'team/**', '--actions', 'pull,push,delete'];
    const token = (await registry.berth(args)).trim();
    await registry.berth(['token', 'revoke', name]);
    return token;
  })();
  return revoked;
}

describe.each(callers)('$title', ({ may, refused, proof }) => {
  test.each(operations)('$method: $title', async ({ method, path, needs, status, headers, body, restore }) => {
    const name = 'team/app';
    const allowed = needs.every((action) => may.includes(action));
    const reply = await registry.request(method, await path(name), await proof(name), {
      ...(headers && { headers }),
      ...(body && { body }),
    });
    if (allowed) {
      expect(reply.status, String(reply)).toBe(status);
      if (restore) await pushImage(name);
      return;
    }
    if (refused === 'allowed') throw new Error('a caller has to be refused somehow');
    expect(reply.status, String(reply)).toBe(refused.status);
    if (refused.challenge !== undefined) expect(reply.header('www-authenticate')).toMatch(refused.challenge);
    if (method !== 'HEAD') {
      expect(reply.json()).toMatchObject({ errors: [{ code: refused.status === 403 ? 'DENIED' : 'UNAUTHORIZED' }] });
      expect(reply.text).not.toContain(manifest.digest);
    }
    // What is missing looks the same.
    const missing = await registry.request(
      method,
      (await path(name)).replaceAll('team/app', 'team/none'),
      await proof('team/none'),
      {
        ...(headers && { headers }),
        ...(body && { body }),
      },
    );
    expect(missing.status).toBe(reply.status);
    const anonymised = (text: string) => text.replaceAll('team/none', 'team/app');
    expect(anonymised(missing.text)).toBe(reply.text);
    expect(anonymised(missing.header('www-authenticate') ?? '')).toBe(reply.header('www-authenticate') ?? '');
  });
});

describe('what is public', () => {
  test.each(operations.filter(({ needs }) => needs.every((action) => action === 'pull')))(
    'is read by everybody: $method $title',
    async ({ method, path, status, headers }) => {
      const tokens = [
        undefined,
        `Bearer ${await registry.token(undefined, scopeOf('public/app'))}`,
        registry.basic('bob'),
      ];
      for (const authorization of tokens) {
        const reply = await registry.request(
          method,
          await path('public/app'),
          authorization,
          headers ? { headers } : {},
        );
        expect(reply.status, String(reply)).toBe(status);
      }
    },
  );

  test.each(operations.filter(({ needs }) => needs.some((action) => action !== 'pull')))(
    'is not written by everybody: $method $title',
    async ({ method, path, headers, body }) => {
      const options = { ...(headers && { headers }), ...(body && { body }) };
      const reply = await registry.request(method, await path('public/app'), undefined, options);
      expect(reply.status, String(reply)).toBe(401);
    },
  );
});

describe('lists show what the caller may pull', () => {
  const everything = ['public/app', 'team/app', 'team/source'];
  const visible: readonly (readonly [string, User | undefined, readonly string[]])[] = [
    ['nobody', undefined, ['public/app']],
    ['a user', 'bob', ['public/app']],
    ['a reader', 'reader', everything],
    ['a deleter', 'deleter', ['public/app']],
    ['root', 'root', everything],
  ];

  test.each(visible)('%s: the catalogue', async (_, user, expected) => {
    const proofs = [
      user === undefined ? undefined : registry.basic(user),
      `Bearer ${await registry.token(user, 'registry:catalog:*')}`,
    ];
    for (const proof of proofs) {
      const reply = await registry.request('GET', '/v2/_catalog', proof);
      expect(reply.json(), String(reply)).toEqual({ repositories: expected });
      const paged = await registry.request('GET', '/v2/_catalog?n=1', proof);
      expect(paged.json()).toEqual({ repositories: expected.slice(0, 1) });
      expect(paged.header('link') === undefined).toBe(expected.length === 1);
    }
    const none = await registry.request('GET', '/v2/_catalog', `Bearer ${await registry.token(user)}`);
    expect(none.status).toBe(401);
  });

  test.each(visible)('%s: the search', async (_, user, expected) => {
    const proof = user === undefined ? undefined : registry.basic(user);
    const reply = await registry.request('GET', '/v1/search?q=app', proof);
    const names = (reply.json() as { results: { name: string }[] }).results.map(({ name }) => name);
    expect(names).toEqual(expected.filter((name) => name.includes('app')));
  });
});

describe('a mount', () => {
  const only = blob(`only in team/source ${randomUUID()}`);

  beforeAll(async () => {
    const path = `/v2/team/source/blobs/uploads/?digest=${only.digest}`;
    const reply = await registry.request('POST', path, registry.basic('root'), { body: only.bytes });
    expect(reply.status).toBe(201);
  });

  const mount = (user: User, scopes: string[], from: boolean) => async () => {
    const path = `/v2/${user}/app/blobs/uploads/?mount=${only.digest}${from ? '&from=team/source' : ''}`;
    return registry.request('POST', path, `Bearer ${await registry.token(user, ...scopes)}`);
  };
  const push = (user: User) => `repository:${user}/app:pull,push`;

  test.each([
    [
      'from what the caller may not read is an ordinary upload',
      mount('bob', [push('bob'), 'repository:team/source:pull'], true),
      202,
    ],
    ['from anywhere does not find what the caller may not read', mount('bob', [push('bob')], false), 202],
    ['from what the token does not name is an ordinary upload', mount('reader', [push('reader')], true), 202],
    [
      'from what the caller may read works',
      mount('reader', [push('reader'), 'repository:team/source:pull'], true),
      201,
    ],
  ] as const)('%s', async (_, request, status) => {
    const reply = await request();
    expect(reply.status, String(reply)).toBe(status);
  });

  test('does not make what is content elsewhere readable by its digest', async () => {
    for (const name of ['bob/app', 'public/app', 'bob/other']) {
      const reply = await registry.request('GET', `/v2/${name}/blobs/${only.digest}`, registry.basic('bob'));
      expect(reply.status, String(reply)).toBe(404);
    }
  });
});
