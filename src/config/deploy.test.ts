import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { storageDrivers } from '../../storage-drivers/index.ts';
import { loadConfig } from './load.ts';
import { configSchema } from './schema.ts';
import { keysOf, shapeOf } from './shape.ts';
import type { CheckParameters } from './storage-driver.ts';
import { loadText } from './testing/load-text.ts';
import { unsupportedKeys } from './unsupported.ts';

const folder = fileURLToPath(new URL('../../deploy/config/', import.meta.url));
const keys = keysOf(shapeOf(configSchema));

/** As the server checks them. */
const drivers: Readonly<Record<string, CheckParameters>> = Object.fromEntries(
  Object.entries(storageDrivers).map(([name, { parseOptions }]) => [
    name,
    (parameters: Readonly<Record<string, unknown>>) => ({ faults: [], ...parseOptions(parameters) }),
  ]),
);

function load(name: string) {
  return loadConfig({ path: `${folder}${name}`, environment: {}, drivers });
}

const examples = ['example.yml', 'auth-htpasswd.yml', 'auth-token.yml', 'proxy.yml'];

test.each(['config.yml', 'development.yml', 'mirror.yml', 'private.yml', 's3.yml', ...examples])(
  'deploy/config/%s loads without a warning',
  async (name) => {
    expect((await load(name)).warnings).toEqual([]);
  },
);

test('what deploy/mirror.md has of configuration loads without a warning', async () => {
  const text = await readFile(`${folder}../mirror.md`, 'utf8');
  const parts = [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, part = '']) => part);
  expect(parts.length).toBeGreaterThan(3);
  for (const part of parts) {
    const { warnings } = await loadText(`version: 0.1\nstorage: inmemory\n${part}`);
    expect(warnings, part).toEqual([]);
  }
});

test('the image starts as registry:2 does', async () => {
  const { config } = await load('config.yml');
  expect(config).toMatchObject({
    http: { addr: ':5000' },
    storage: {
      driver: { name: 'filesystem', parameters: { rootdirectory: '/var/lib/registry' } },
      delete: { enabled: false },
    },
  });
});

test('development keeps its data in the folder and allows deletion', async () => {
  const { config } = await load('development.yml');
  expect(config).toMatchObject({
    log: { level: 'info', formatter: 'text' },
    http: { addr: ':5000' },
    storage: { driver: { name: 'filesystem', parameters: { rootdirectory: './data' } }, delete: { enabled: true } },
  });
});

test('the one for S3 names a bucket and no keys to it', async () => {
  const { config } = await load('s3.yml');
  expect(config.storage.driver).toEqual({ name: 's3', parameters: { bucket: 'registry', region: 'eu-central-1' } });
});

test('the examples have every key', async () => {
  const loaded = await Promise.all(examples.map(load));
  const origins = loaded.flatMap(({ origins }) => [...origins.keys()]);
  const given = new Set(origins.map((key) => key.replaceAll(/\.\d+(?=\.)/g, '[]')));
  expect(keys.filter((key) => !given.has(key))).toEqual(['auth.none']);
});

test.each(examples)('%s explains every key in the line before it', async (name) => {
  const lines = (await readFile(`${folder}${name}`, 'utf8')).split('\n');
  const names = new Set(keys.map((key) => key.replace(/^.*\./, '')));
  const bare = lines.filter((line, index) => {
    const name = /^\s*(?:- )?(\w+):/.exec(line)?.[1];
    return name !== undefined && names.has(name) && !/^\s*#/.test(lines[index - 1] ?? '');
  });
  expect(bare).toEqual([]);
});

describe('the table of the README', async () => {
  const readme = await readFile(`${folder}README.md`, 'utf8');
  const [supported = [], unsupported = []] = readme
    .split(/^## Keys/m)
    .slice(1)
    .map(rowsOf);

  test('has every key, in the order of the schema, and no other', () => {
    expect(supported.map(({ name }) => name).filter((name) => name !== 'storage.<driver>')).toEqual(keys);
  });

  test('has the defaults of the schema', () => {
    const issuer = { name: 'a', issuer: 'http://a', audience: ['a'] };
    const builtin = { policy: [{ who: ['users'], actions: ['pull'] }], issuers: [issuer] };
    const minimal = configSchema.parse({
      version: '0.1',
      auth: { builtin },
      validation: { manifests: { indexes: { platformlist: [{ architecture: '?', os: '?' }] } } },
      mirror: { upstreams: [{ name: 'a' }], schedule: [{ cron: '0 0 * * *', images: ['a'] }] },
      health: { file: [{ file: '?' }], http: [{ uri: 'http://a' }], tcp: [{ addr: 'a:1' }] },
      notifications: { endpoints: [{ url: 'http://a' }] },
    });
    const { auth } = configSchema.shape;
    const token = z.encode(auth, auth.parse({ token: { realm: 'http://a', service: 'a', issuer: 'a' } }));
    const complete = z.encode(configSchema, minimal);
    const encoded = { ...complete, auth: { ...complete.auth, ...token } };
    const names = ['realm', 'service', 'issuer'].map((name) => `auth.token.${name}`);
    const given = [
      'version',
      ...names,
      ...['who', 'actions'].map((name) => `policy[].${name}`),
      ...['architecture', 'os', 'file', 'uri', 'addr', 'url', 'name', 'issuer', 'audience', 'cron', 'images'].map(
        (name) => `[].${name}`,
      ),
    ];
    for (const { name, value } of supported.filter(({ name }) => keys.includes(name))) {
      const found = given.some((end) => name.endsWith(end))
        ? undefined
        : at(encoded, name.replaceAll('[]', '.0').split('.'));
      expect([name, value]).toEqual([name, found === undefined ? '–' : `\`${show(found)}\``]);
    }
  });

  test('has every key of distribution that berth does not act on', () => {
    expect(unsupported.map(({ name }) => name)).toEqual(unsupportedKeys.map(({ path }) => path));
  });
});

test('the README of the project has every key of storage.s3', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const [, section = ''] = readme.split(/^### S3$/m);
  const [table = ''] = section.split(/^#/m);
  const named = table.split('\n').flatMap((line) => {
    const [, names = ''] = /^\| ((?:`\w+`(?:, )?)+) \|/.exec(line) ?? [];
    return names.match(/\w+/g) ?? [];
  });
  // The driver lists what it knows when it is given something else.
  const { warnings } = storageDrivers.s3.parseOptions({ bucket: 'b', region: 'r', another: '' });
  const known = warnings
    .find(({ key }) => key === 'another')
    ?.message.split('known are ')[1]
    ?.split(', ');
  expect(named.sort()).toEqual(known?.sort());
});

/** The rows of a table whose first cell begins with a name in backquotes, with the third. */
function rowsOf(text: string): { name: string; value: string }[] {
  return text.split('\n').flatMap((line) => {
    const [, name, value = ''] = /^\| `([^`]+)`[^|]*\|[^|]*\|([^|]*)/.exec(line) ?? [];
    return name === undefined ? [] : [{ name, value: value.trim() }];
  });
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((parent, key) => (parent as Record<string, unknown> | undefined)?.[key], value);
}

function show(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
