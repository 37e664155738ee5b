import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { createIssuers } from './issuers.ts';
import { createIssuerKeys } from './keys.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** An issuer with its metadata and keys, over HTTP. */
async function issuer() {
  const state = { keys: [] as { kid: string; key: KeyObject }[], requests: [] as string[], down: false, metadata: {} };
  const server = createServer(async (request, response) => {
    state.requests.push(request.url ?? '');
    if (state.down) return response.writeHead(503).end();
    const open = async ({ kid, key }: { kid: string; key: KeyObject }) => ({
      ...(await exportJWK(key)),
      d: undefined,
      kid,
    });
    const body =
      request.url === '/.well-known/openid-configuration'
        ? { issuer: url, jwks_uri: `${url}/keys`, ...state.metadata }
        : { keys: await Promise.all(state.keys.map(open)) };
    return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const addKey = (kid: string) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    state.keys.push({ kid, key: privateKey });
    return privateKey;
  };
  return { url, state, addKey };
}

function issuersFor(url: string, over: object = {}) {
  const keys = createIssuerKeys({ issuer: url, jwksUrl: undefined, fetch: (target, init) => fetch(target, init) });
  const faults: unknown[] = [];
  const one = {
    name: 'ci',
    issuer: url,
    audiences: ['registry'],
    require: { repository_owner: 'my-org' },
    subject: '{repository}',
    keys,
    ...over,
  };
  const onFault = (_: string, error: unknown) => faults.push(error);
  return { ...createIssuers({ issuers: [one], algorithms: ['ES256'], onFault }), faults };
}

async function idToken(url: string, key: KeyObject, kid: string, over: Record<string, unknown> = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: url,
    aud: 'registry',
    sub: 'repo:my-org/app:ref:refs/heads/main',
    iat: now,
    exp: now + 300,
    repository: 'my-org/app',
    repository_owner: 'my-org',
    ...over,
  };
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid }).sign(key);
}

test('an ID token says who it is by its claims', async () => {
  const { url, state, addKey } = await issuer();
  const key = addKey('one');
  const { isIdToken, identify } = issuersFor(url);
  const token = await idToken(url, key, 'one');
  expect(isIdToken(token)).toBe(true);
  expect(await identify(token)).toMatchObject({ identity: { kind: 'oidc', name: 'ci:my-org/app' } });
  await identify(token);
  expect(state.requests).toEqual(['/.well-known/openid-configuration', '/keys']);
});

describe('an ID token is refused', () => {
  test.each([
    ['for somebody else', { aud: 'other' }, /aud/],
    ['that is over', { exp: Math.floor(Date.now() / 1000) - 120 }, /exp/],
    ['of another organisation', { repository_owner: 'their-org' }, /repository_owner/],
    ['without a claim that must be there', { repository_owner: undefined }, /repository_owner/],
    ['without a claim that makes its name', { repository: undefined }, /repository/],
    ['with a claim that is no text', { repository_owner: ['my-org'] }, /repository_owner/],
  ])('%s', async (_, over, reason) => {
    const { url, addKey } = await issuer();
    const token = await idToken(url, addKey('one'), 'one', over);
    expect(await issuersFor(url).identify(token)).toEqual({ fault: expect.stringMatching(reason) });
  });

  test('with a signature of somebody else', async () => {
    const { url, addKey } = await issuer();
    addKey('one');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { identify } = issuersFor(url);
    expect(await identify(await idToken(url, privateKey, 'one'))).toEqual({
      fault: expect.stringMatching(/signature/),
    });
    expect(await identify(await idToken(url, privateKey, 'two'))).toEqual({
      fault: expect.stringMatching(/no applicable key/),
    });
  });

  test('of an issuer that nobody named, without asking it', async () => {
    const [known, unknown] = [await issuer(), await issuer()];
    const { isIdToken, identify } = issuersFor(known.url);
    const token = await idToken(unknown.url, unknown.addKey('one'), 'one');
    expect(isIdToken(token)).toBe(false);
    expect(await identify(token)).toEqual({ fault: expect.any(String) });
    expect([...known.state.requests, ...unknown.state.requests]).toEqual([]);
  });

  test('when the issuer is down or is another one, which is told', async () => {
    const { url, state, addKey } = await issuer();
    const token = await idToken(url, addKey('one'), 'one');
    state.down = true;
    const down = issuersFor(url);
    const unavailable = { code: 'UNAVAILABLE', headers: { 'Retry-After': '5' } };
    await expect(down.identify(token)).rejects.toMatchObject(unavailable);
    await expect(down.identify(token)).rejects.toMatchObject(unavailable);
    // Not asked again at once.
    expect(state.requests).toHaveLength(1);
    expect(down.faults).toHaveLength(2);

    state.down = false;
    state.metadata = { issuer: 'http://other.example' };
    await expect(issuersFor(url).identify(token)).rejects.toMatchObject(unavailable);
  });
});

test('claims in claims are named with dots, and dots may be part of a name', async () => {
  const { url, addKey } = await issuer();
  const key = addKey('one');
  const kubernetes = { 'kubernetes.io': { namespace: 'build', serviceaccount: { name: 'pusher' } } };
  const { identify } = issuersFor(url, {
    require: { 'a.b': 'c' },
    subject: '{kubernetes.io.namespace}/{kubernetes.io.serviceaccount.name}',
  });
  const token = await idToken(url, key, 'one', { ...kubernetes, 'a.b': 'c' });
  expect(await identify(token)).toMatchObject({ identity: { kind: 'oidc', name: 'ci:build/pusher' } });
});

test.each(['secret', 'a.b', 'eyJ.eyJ.x', ''])('%j is no ID token', (text) => {
  expect(createIssuers({ issuers: [], algorithms: [], onFault: () => undefined }).isIdToken(text)).toBe(false);
});
