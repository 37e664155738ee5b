import { format, inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { concealSecrets, isSecretName, revealSecrets, Secret } from './secret.ts';

describe('a secret', () => {
  const secret = new Secret('hunter2');

  test('is given away when asked for', () => expect(secret.reveal()).toBe('hunter2'));

  test.each([
    ['JSON', JSON.stringify({ secret })],
    ['inspection', inspect({ secret }, { depth: 9, showHidden: true })],
    ['formatting', format('%s %o %j', secret, secret, secret)],
    ['string conversion', `${secret}`],
    ['a copy by spreading', JSON.stringify({ ...secret })],
  ])('is not seen in %s', (_how, shown) => expect(shown).not.toContain('hunter2'));
});

test.each([
  'secret',
  'secretkey',
  'SecretKey',
  'accountkey',
  'password',
  'client_secret',
  'sessiontoken',
  'private_key',
])('%s names a secret', (name) => expect(isSecretName(name)).toBe(true));

test.each(['bucket', 'accesskey', 'keyid', 'keyfile', 'rootdirectory', 'tokenurl'])('%s names no secret', (name) =>
  expect(isSecretName(name)).toBe(false),
);

test('parameters are concealed and revealed at any depth', () => {
  const parameters = { bucket: 'b', secretkey: 's', credentials: { id: 'i', keys: ['k'] }, chunksize: 5 };
  const concealed = concealSecrets(parameters) as Record<string, unknown>;
  expect(JSON.parse(JSON.stringify(concealed))).toEqual({
    bucket: 'b',
    secretkey: '<redacted>',
    credentials: { id: '<redacted>', keys: ['<redacted>'] },
    chunksize: 5,
  });
  expect(revealSecrets(concealed)).toEqual(parameters);
});
