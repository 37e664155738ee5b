import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, type JWK, type JWTHeaderParameters, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseRepositoryName } from '../../oci/name.ts';
import type { Access } from '../access.ts';
import { createExternalAccess } from './access.ts';
import { libtrustId, readTrust, type Trust } from './trust.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-trust-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Party {
  readonly key: KeyObject;
  readonly pem: string;
  readonly der: string;
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
}

/** A key with a certificate: its own, or signed by an authority. */
function party(name: string, { by, ca = false, days = 30 }: { by?: string; ca?: boolean; days?: number } = {}): Party {
  const extensions = `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`;
  writeFileSync(join(folder, `${name}.ext`), `${extensions}\n`);
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`);
  openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`);
  const signer =
    by === undefined ? ['-signkey', `${name}.key`] : ['-CA', `${by}.crt`, '-CAkey', `${by}.key`, '-CAcreateserial'];
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...signer,
    '-days',
    String(days),
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.crt`,
  );
  const pem = readFileSync(join(folder, `${name}.crt`), 'utf8');
  const key = createPrivateKey(readFileSync(join(folder, `${name}.key`)));
  return { key, pem, der: new X509Certificate(pem).raw.toString('base64') };
}

let root: Party;
let middle: Party;
let server: Party;
let leafAsAuthority: Party;
let stranger: Party;
let trust: Trust;
beforeAll(async () => {
  root = party('root', { ca: true });
  middle = party('middle', { by: 'root', ca: true });
  server = party('server', { by: 'middle' });
  leafAsAuthority = party('forged', { by: 'server' });
  stranger = party('stranger');
  trust = await readTrust(root.pem, undefined);
});

const name = parseRepositoryName('team/app');
const pull: Access = { type: 'repository', name, actions: ['pull'] };

function accessWith(trusted: Trust, algorithms = ['ES256', 'EdDSA', 'RS256']) {
  return createExternalAccess({
    realm: () => 'https://auth.example/token',
    service: 'registry.example',
    issuer: 'auth.example',
    algorithms,
    trust: () => trusted,
  });
}

async function token(
  key: KeyObject,
  header: Partial<JWTHeaderParameters>,
  over: Record<string, unknown> = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'auth.example',
    aud: 'registry.example',
    sub: 'alice',
    iat: now,
    nbf: now,
    exp: now + 300,
    access: [{ type: 'repository', name, actions: ['pull'] }],
    ...over,
  };
  const given = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
  return new SignJWT(given).setProtectedHeader({ typ: 'JWT', alg: 'ES256', ...header }).sign(key);
}

function authorize(text: string | undefined, wanted: Access[] = [pull], trusted = trust, algorithms?: string[]) {
  const authorization = text === undefined ? undefined : `Bearer ${text}`;
  return accessWith(trusted, algorithms).authorize(
    { authorization, origin: 'https://registry.example', remoteAddress: '', certificate: undefined },
    wanted,
  );
}

const invalid = {
  code: 'UNAUTHORIZED',
  headers: {
    'WWW-Authenticate':
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:team/app:pull",error="invalid_token"',
  },
};

describe('a token of the token server is taken', () => {
  test('by the id that registry:2 knows its key by', async () => {
    const kid = libtrustId(createPublicKey(root.key));
    expect(kid).toMatch(/^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$/);
    expect(await authorize(await token(root.key, { kid }))).toMatchObject({ subject: 'alice' });
  });

  test('by the RFC 7638 thumbprint of its key', async () => {
    const kid = await calculateJwkThumbprint(createPublicKey(root.key).export({ format: 'jwk' }) as JWK);
    expect(await authorize(await token(root.key, { kid }))).toMatchObject({ subject: 'alice' });
  });

  test('by a chain of certificates', async () => {
    const x5c = [server.der, middle.der];
    expect(await authorize(await token(server.key, { x5c }))).toMatchObject({ subject: 'alice' });
    expect(await authorize(await token(server.key, { x5c: [...x5c, root.der] }))).toMatchObject({ subject: 'alice' });
  });

  test('by the id in a key set, with RSA and Ed25519 too', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const ed = generateKeyPairSync('ed25519');
    const keys = [
      { ...(await exportJWK(rsa.publicKey)), kid: 'one' },
      { ...(await exportJWK(ed.publicKey)), kid: 'two' },
    ];
    const trusted = await readTrust(undefined, JSON.stringify({ keys }));
    const one = await token(rsa.privateKey, { alg: 'RS256', kid: 'one' });
    const two = await token(ed.privateKey, { alg: 'EdDSA', kid: 'two' });
    for (const text of [one, two]) expect(await authorize(text, [pull], trusted)).toMatchObject({ subject: 'alice' });
    await expect(authorize(one, [pull], trusted, ['EdDSA'])).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
  });

  test('with its actions in any form, and for what it names only', async () => {
    const kid = libtrustId(createPublicKey(root.key));
    const access = [
      { type: 'repository', class: 'image', name, actions: ['*'] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ];
    const text = await token(root.key, { kid }, { access });
    const push: Access = { ...pull, actions: ['pull', 'push', 'delete'] };
    const authorized = await authorize(text, [push, { type: 'registry', name: 'catalog', actions: ['*'] }]);
    expect(authorized.sees(parseRepositoryName('any'))).toBe(true);
    const other = parseRepositoryName('other');
    expect(authorized.allows({ type: 'repository', name: other, actions: ['pull'] })).toBe(false);
    await expect(authorize(text, [{ ...pull, name: other }])).rejects.toMatchObject({
      headers: { 'WWW-Authenticate': expect.stringContaining('error="insufficient_scope"') },
    });
  });

  test('without access, when nothing is asked for', async () => {
    const kid = libtrustId(createPublicKey(root.key));
    for (const access of [[], null, undefined]) {
      expect(await authorize(await token(root.key, { kid }, { access }), [])).toMatchObject({ subject: 'alice' });
    }
  });
});

describe('a token is refused', () => {
  test('without a key id, and with one that nobody has', async () => {
    await expect(authorize(await token(root.key, {}))).rejects.toMatchObject(invalid);
    await expect(authorize(await token(root.key, { kid: 'x' }))).rejects.toMatchObject(invalid);
  });

  test('when it brings its own key, whatever id it gives to it', async () => {
    const kid = libtrustId(createPublicKey(root.key));
    const jwk = { ...(await exportJWK(createPublicKey(stranger.key))), kid };
    await expect(authorize(await token(stranger.key, { kid, jwk }))).rejects.toMatchObject(invalid);
    await expect(authorize(await token(stranger.key, { jwk }))).rejects.toMatchObject(invalid);
  });

  test('when its certificates lead elsewhere, are incomplete, or are no authorities', async () => {
    for (const [key, x5c] of [
      [stranger.key, [stranger.der]],
      [stranger.key, [stranger.der, root.der]],
      [server.key, [server.der]],
      [leafAsAuthority.key, [leafAsAuthority.der, server.der, middle.der]],
      [stranger.key, [server.der, middle.der]],
      [stranger.key, ['not a certificate']],
    ] as const) {
      await expect(authorize(await token(key, { x5c: [...x5c] }))).rejects.toMatchObject(invalid);
    }
  });

  test.each([
    ['for somebody else', { aud: 'other.example' }],
    ['by somebody else', { iss: 'other.example' }],
    ['that is over', { exp: Math.floor(Date.now() / 1000) - 120 }],
    ['that has not begun', { nbf: Math.floor(Date.now() / 1000) + 120 }],
    ['without an end', { exp: undefined }],
    ['whose access is none', { access: 'everything' }],
  ])('%s', async (_, over) => {
    const kid = libtrustId(createPublicKey(root.key));
    await expect(authorize(await token(root.key, { kid }, over))).rejects.toMatchObject(invalid);
  });

  test('signed with the public key as a secret, or not at all', async () => {
    const kid = libtrustId(createPublicKey(root.key));
    const secret = new TextEncoder().encode(
      createPublicKey(root.key).export({ type: 'spki', format: 'pem' }).toString(),
    );
    const forged = await new SignJWT({ access: [] }).setProtectedHeader({ alg: 'HS256', kid }).sign(secret);
    await expect(authorize(forged)).rejects.toMatchObject(invalid);
    const [, payload] = (await token(root.key, { kid })).split('.');
    const none = Buffer.from(JSON.stringify({ alg: 'none', kid })).toString('base64url');
    await expect(authorize(`${none}.${payload}.`)).rejects.toMatchObject(invalid);
  });

  test('when there is none, with a challenge that says no error', async () => {
    await expect(authorize(undefined)).rejects.toMatchObject({
      headers: {
        'WWW-Authenticate':
          'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:team/app:pull"',
      },
    });
  });
});

test.each([
  ['no certificate', 'hello', undefined],
  ['a certificate that is none', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----', undefined],
  ['no JSON', undefined, 'hello'],
  ['no key set', undefined, '[]'],
  ['an empty key set', undefined, '{"keys":[]}'],
  ['a shared secret', undefined, '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'],
  ['nothing', undefined, undefined],
])('%s is not to be trusted', async (_, bundle, keySet) => {
  await expect(readTrust(bundle, keySet)).rejects.toMatchObject({ name: 'TrustError' });
});
