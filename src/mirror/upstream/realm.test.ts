import { describe, expect, it } from 'vitest';
import { AddressGuard } from './address.ts';
import { isSameSite, realmFault } from './realm.ts';

function faultOf(endpoint: string, realm: string, allowed: string[] = [], withCredentials = true): string | undefined {
  const url = new URL(endpoint);
  return realmFault(new URL(realm), { endpoint: url, allowed, guard: new AddressGuard(url.hostname) }, withCredentials);
}

describe('a realm', () => {
  it.each([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
    ['https://ghcr.io', 'https://ghcr.io/token'],
    ['https://quay.io', 'https://quay.io/v2/auth'],
    ['https://gcr.io', 'https://gcr.io/v2/token'],
    ['https://us-docker.pkg.dev', 'https://us-docker.pkg.dev/v2/token'],
    ['https://public.ecr.aws', 'https://public.ecr.aws/token/'],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['https://mcr.microsoft.com', 'https://mcr.microsoft.com/oauth2/token'],
    ['https://registry.k8s.io', 'https://registry.k8s.io/token'],
    ['https://team.azurecr.io', 'https://team.azurecr.io/oauth2/token'],
    ['https://docker.elastic.co', 'https://docker-auth.elastic.co/auth'],
    ['https://registry.example.co.uk', 'https://auth.example.co.uk/token'],
    ['https://registry.corp.internal:5000', 'https://git.corp.internal/jwt/auth'],
    ['http://registry:5000', 'http://registry:5001/token'],
    ['http://10.0.0.5:5000', 'http://10.0.0.5:5001/token'],
    ['http://registry.example.com', 'https://auth.example.com/token'],
  ])('of %s may be %s', (endpoint, realm) => {
    expect(faultOf(endpoint, realm)).toBeUndefined();
  });

  it.each([
    ['another site', 'https://registry.example.com', 'https://example.net/token', 'foreign'],
    ['a site with the same end', 'https://registry-1.docker.io', 'https://evildocker.io/token', 'foreign'],
    ['a site that has it in front', 'https://registry-1.docker.io', 'https://docker.io.example.com/token', 'foreign'],
    ['another owner under a public suffix', 'https://a.co.uk', 'https://b.co.uk/token', 'foreign'],
    ['another owner under com.au', 'https://r.a.com.au', 'https://r.b.com.au/token', 'foreign'],
    ['another page of the same host', 'https://alice.github.io', 'https://mallory.github.io/token', 'foreign'],
    ['another customer of a cloud', 'https://us-docker.pkg.dev', 'https://eu-docker.pkg.dev/v2/token', 'foreign'],
    ['the suffix itself', 'https://a.co.uk', 'https://co.uk/token', 'foreign'],
    ['another machine', 'http://10.0.0.5:5000', 'http://10.0.0.6:5000/token', 'foreign'],
    ['the metadata of a cloud', 'https://registry.example.com', 'http://169.254.169.254/latest', 'foreign'],
    ['no TLS', 'https://registry.example.com', 'http://registry.example.com/token', 'no TLS'],
    ['no TLS elsewhere', 'http://registry.example.com', 'http://auth.example.com/token', 'no TLS'],
    ['no web', 'https://registry.example.com', 'ftp://registry.example.com/token', 'no URL of the web'],
    ['a password', 'https://registry.example.com', 'https://a:b@registry.example.com/token', 'credentials in it'],
  ])('is not used with %s', (_, endpoint, realm, reason) => {
    expect(faultOf(endpoint, realm)).toContain(reason);
  });

  it('may have no TLS elsewhere on its site when nothing secret goes there', () => {
    expect(faultOf('http://registry.example.com', 'http://auth.example.com/token', [], false)).toBeUndefined();
  });

  it('may be on a host that is allowed', () => {
    const endpoint = 'https://registry.example.com';
    expect(faultOf(endpoint, 'https://login.example.net/t', ['login.example.net'])).toBeUndefined();
    expect(faultOf(endpoint, 'https://login.example.net:8443/t', ['login.example.net:8443'])).toBeUndefined();
    expect(faultOf(endpoint, 'https://login.example.net:8443/t', ['login.example.net:443'])).toContain('foreign');
    expect(faultOf(endpoint, 'https://a.login.example.net/t', ['*.example.net'])).toBeUndefined();
    expect(faultOf(endpoint, 'https://example.net/t', ['*.example.net'])).toContain('foreign');
    expect(faultOf(endpoint, 'https://evilexample.net/t', ['*.example.net'])).toContain('foreign');
  });

  it.each([
    'https://169.254.169.254/t',
    'https://[fe80::1]/t',
    'https://[::ffff:169.254.169.254]/t',
    'https://2852039166/t',
    'https://127.0.0.1/t',
    'https://0x7f.1/t',
    'https://[::1]/t',
    'https://localhost/t',
    'https://0.0.0.0/t',
  ])('is never %s, whatever is allowed', (realm) => {
    expect(faultOf('https://registry.example.com', realm, [new URL(realm).hostname])).toContain('internal');
  });

  it('may be elsewhere on this machine when the endpoint is, and it is allowed', () => {
    expect(faultOf('http://127.0.0.1:5000', 'http://127.0.0.1:5001/t')).toBeUndefined();
    expect(faultOf('http://127.0.0.1:5000', 'http://localhost:5001/t', [], false)).toContain('foreign');
    expect(faultOf('http://127.0.0.1:5000', 'http://localhost:5001/t', ['localhost'], false)).toBeUndefined();
    expect(faultOf('http://127.0.0.1:5000', 'http://169.254.169.254/t', ['169.254.169.254'], false)).toContain(
      'internal',
    );
  });
});

it('a site is not that of everybody who is at the same provider', () => {
  expect(isSameSite('a.example.com', 'b.c.example.com')).toBe(true);
  expect(isSameSite('example.com', 'a.example.com')).toBe(true);
  expect(isSameSite('A.example.com', 'a.example.com')).toBe(true);
  expect(isSameSite('registry', 'auth')).toBe(false);
  expect(isSameSite('registry.local', 'auth.local')).toBe(false);
  expect(isSameSite('1.2.3.4', '5.6.3.4')).toBe(false);
  expect(isSameSite('a.gouv.fr', 'b.gouv.fr')).toBe(false);
});

describe('names are looked up', () => {
  const found = (guard: AddressGuard, all: boolean) =>
    new Promise<unknown>((resolve, reject) => {
      guard.lookup('localhost', { all }, (error, address) => (error ? reject(error) : resolve(address)));
    });

  it('and what they mean is looked at', async () => {
    await expect(found(new AddressGuard('registry.example.com'), true)).rejects.toThrow('of this machine');
    expect(await found(new AddressGuard('127.0.0.1'), false)).toMatch(/^(127\.0\.0\.1|::1)$/);
    expect(await found(new AddressGuard('127.0.0.1'), true)).toEqual(expect.any(Array));
  });

  it('and what cannot be found is an error', async () => {
    const guard = new AddressGuard('registry.example.com');
    const looked = new Promise((_, reject) => guard.lookup('nothing.invalid', {}, (error) => reject(error)));
    await expect(looked).rejects.toThrow();
  });
});
