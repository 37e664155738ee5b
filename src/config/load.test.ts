import { describe, expect, test } from 'vitest';
import { ConfigError, formatFinding } from './finding.ts';
import { findConfigPath, loadConfig } from './load.ts';
import { drivers, fileWith, loadText, warningsOf, withoutFolder } from './testing/load-text.ts';

describe('the file', () => {
  const all = ['/etc/berth/config.yml', '/etc/distribution/config.yml', '/etc/docker/registry/config.yml'];

  test.each<[string, string | undefined, string | undefined, string[], string | undefined]>([
    ['the argument', 'a.yml', '/b.yml', all, 'a.yml'],
    ['the variable', undefined, '/b.yml', all, '/b.yml'],
    ['berth’s own', undefined, undefined, all, '/etc/berth/config.yml'],
    ['that of registry:3', undefined, '', all.slice(1), '/etc/distribution/config.yml'],
    ['that of registry:2', undefined, undefined, all.slice(2), '/etc/docker/registry/config.yml'],
    ['none', undefined, undefined, [], undefined],
  ])('is %s', (_which, argument, variable, existing, expected) => {
    const environment = { REGISTRY_CONFIGURATION_PATH: variable };
    expect(findConfigPath({ argument, environment, exists: (path) => existing.includes(path) })).toBe(expected);
  });

  test.each([
    ['/nowhere/config.yml', 'there is no such file'],
    ['/', 'it is a directory'],
  ])('%s that cannot be read is a fault, not a default', async (path, reason) => {
    const error: unknown = await loadConfig({ path, environment: {}, drivers }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toBe(`the configuration has a fault:\n  ${path}: cannot be read: ${reason}`);
  });

  test('that is missing leaves built-in defaults, which say so', async () => {
    const { config, source, warnings } = await loadConfig({ path: undefined, environment: {}, drivers });
    expect(config.storage.driver).toEqual({ name: 'filesystem', parameters: { rootdirectory: '/var/lib/registry' } });
    expect([config.version, config.http.addr]).toEqual(['0.1', ':5000']);
    expect(source).toBe(`no configuration file in ${all.join(', ')}: built-in defaults`);
    expect(warnings).toEqual([]);
  });

  test('that is missing can be made up for by variables', async () => {
    const environment = { REGISTRY_STORAGE: 'inmemory', REGISTRY_HTTP_ADDR: ':0' };
    const { config } = await loadConfig({ path: undefined, environment, drivers });
    expect([config.storage.driver.name, config.http.addr]).toEqual(['inmemory', ':0']);
  });
});

test('defaults are distribution’s, and relative URLs', async () => {
  const { config, warnings } = await loadText(fileWith(''));
  expect(warnings).toEqual([]);
  expect(config).toEqual({
    version: '0.1',
    log: { accesslog: { disabled: false }, level: 'info', formatter: 'text', fields: {} },
    storage: {
      driver: { name: 'inmemory', parameters: {} },
      delete: { enabled: false },
      redirect: { disable: false },
      maintenance: {
        uploadpurging: { enabled: true, age: 604_800_000, interval: 86_400_000, dryrun: false },
        readonly: { enabled: false },
      },
      tag: {},
    },
    http: {
      addr: ':5000',
      net: 'tcp',
      prefix: '/',
      relativeurls: true,
      trustedproxies: [],
      draintimeout: 0,
      headers: {},
      tls: {
        clientcas: [],
        minimumtls: 'tls1.2',
        ciphersuites: [],
      },
      http2: { disabled: false },
      h2c: { enabled: false },
      debug: { prometheus: { enabled: false, path: '/metrics' } },
      timeouts: { header: 30_000, body: 300_000, keepalive: 120_000 },
    },
    catalog: { maxentries: 1_000 },
    tags: { maxtags: 1_000 },
    validation: {
      disabled: false,
      manifests: { urls: { allow: [], deny: [] }, indexes: { platforms: 'all', platformlist: [] } },
    },
    proxy: { ttl: 7 * 24 * 3_600_000, cachewritetimeout: 300_000 },
    mirror: { upstreams: [], schedule: [], pinned: [], maxdownloads: 32 },
    health: {
      storagedriver: { enabled: false, interval: 10_000, threshold: 0 },
      file: [],
      http: [],
      tcp: [],
    },
    notifications: { events: { includereferences: false }, endpoints: [] },
  });
});

test('the file of registry:2 is read as it is', async () => {
  const loaded = await loadText(`version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`);
  expect(loaded.config.storage.driver.parameters).toEqual({ rootdirectory: '/var/lib/registry' });
  expect(loaded.config.http.headers).toEqual({ 'X-Content-Type-Options': ['nosniff'] });
  expect(loaded.config.health.storagedriver).toEqual({ enabled: true, interval: 10_000, threshold: 3 });
  expect(warningsOf(loaded)).toEqual([
    'config.yml:6: storage.cache is not needed: berth keeps no cache that wants a setting',
  ]);
});

test('the development file of registry:3 is read as it is', async () => {
  const loaded = await loadText(`version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
    delete:
      enabled: true
    cache:
        blobdescriptor: inmemory
    filesystem:
        rootdirectory: /var/lib/registry
    maintenance:
        uploadpurging:
            enabled: false
    tag:
      concurrencylimit: 8
http:
    addr: :5000
    debug:
        addr: :5001
        prometheus:
            enabled: true
            path: /metrics
    headers:
        X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`);
  const { log, storage, http } = loaded.config;
  expect(log).toMatchObject({ level: 'debug', fields: { service: 'registry', environment: 'development' } });
  expect(http.debug).toEqual({ addr: ':5001', prometheus: { enabled: true, path: '/metrics' } });
  expect(storage).toMatchObject({
    delete: { enabled: true },
    maintenance: { uploadpurging: { enabled: false, age: 604_800_000 } },
    tag: { concurrencylimit: 8 },
  });
  expect(warningsOf(loaded)).toEqual([
    'config.yml:10: storage.cache is not needed: berth keeps no cache that wants a setting',
  ]);
});

test('the environment of a large deployment goes over a file', async () => {
  const loaded = await loadText(fileWith('http: {addr: ":1", headers: {X-Content-Type-Options: [nosniff]}}'), {
    PATH: '/usr/bin',
    REGISTRY_VERSION: '2.8.3',
    REGISTRY_LOG_LEVEL: 'WARN',
    REGISTRY_LOG_FORMATTER: 'json',
    REGISTRY_LOG_ACCESSLOG_DISABLED: 'true',
    REGISTRY_HTTP_ADDR: '0.0.0.0:443',
    REGISTRY_HTTP_HOST: 'https://registry.example/',
    REGISTRY_HTTP_SECRET: '12345678901234567890',
    REGISTRY_HTTP_RELATIVEURLS: 'false',
    REGISTRY_HTTP_DRAINTIMEOUT: '1m30s',
    REGISTRY_HTTP_TLS_CERTIFICATE: '/certs/tls.crt',
    REGISTRY_HTTP_TLS_KEY: '/certs/tls.key',
    REGISTRY_HTTP_TLS_MINIMUMTLS: 'tls1.3',
    'REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin': '["https://ui.example"]',
    'REGISTRY_HTTP_HEADERS_Access-Control-Allow-Methods': "['HEAD', 'GET', 'OPTIONS', 'DELETE']",
    'REGISTRY_HTTP_HEADERS_Access-Control-Allow-Credentials': '[true]',
    REGISTRY_HTTP_TIMEOUTS_BODY: '10m',
    REGISTRY_STORAGE: 's3',
    REGISTRY_STORAGE_S3_BUCKET: 'images',
    REGISTRY_STORAGE_S3_REGION: 'eu-west-1',
    REGISTRY_STORAGE_S3_ACCESSKEY: 'AKIA0000',
    REGISTRY_STORAGE_S3_SECRETKEY: 'geheim',
    REGISTRY_STORAGE_S3_REGIONENDPOINT: 'http://minio:9000',
    REGISTRY_STORAGE_S3_FORCEPATHSTYLE: 'true',
    REGISTRY_STORAGE_DELETE_ENABLED: 'true',
    REGISTRY_STORAGE_REDIRECT_DISABLE: 'true',
    REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR: 'redis',
    REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED: 'false',
    REGISTRY_STORAGE_MAINTENANCE_READONLY: '{"enabled":true}',
    REGISTRY_REDIS_ADDR: 'redis:6379',
    REGISTRY_REDIS_PASSWORD: 'geheim',
    REGISTRY_CATALOG_MAXENTRIES: '100000',
    REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW: "['^https://mcr\\.microsoft\\.com/']",
    REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_ARCHITECTURE: 'amd64',
    REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_OS: 'linux',
    REGISTRY_HEALTH_STORAGEDRIVER_ENABLED: 'true',
    REGISTRY_AUTH: 'none',
  });
  const { log, storage, http, catalog, validation, health } = loaded.config;
  expect(log).toMatchObject({ level: 'warn', formatter: 'json', accesslog: { disabled: true } });
  expect(http).toMatchObject({
    addr: '0.0.0.0:443',
    host: 'https://registry.example',
    relativeurls: false,
    draintimeout: 90_000,
    headers: {
      'X-Content-Type-Options': ['nosniff'],
      'access-control-allow-origin': ['https://ui.example'],
      'access-control-allow-methods': ['HEAD', 'GET', 'OPTIONS', 'DELETE'],
      'access-control-allow-credentials': ['true'],
    },
    tls: { certificate: '/certs/tls.crt', key: '/certs/tls.key', minimumtls: 'tls1.3' },
    timeouts: { header: 30_000, body: 600_000 },
  });
  expect(http.secret?.reveal()).toBe('12345678901234567890');
  expect(storage).toMatchObject({
    driver: { name: 's3', parameters: { bucket: 'images', accesskey: 'AKIA0000', forcepathstyle: true } },
    delete: { enabled: true },
    redirect: { disable: true },
    maintenance: { uploadpurging: { enabled: false }, readonly: { enabled: true } },
  });
  expect(catalog.maxentries).toBe(100_000);
  expect(validation.manifests).toMatchObject({
    urls: { allow: ['^https://mcr\\.microsoft\\.com/'] },
    indexes: { platformlist: [{ architecture: 'amd64', os: 'linux' }] },
  });
  expect(health.storagedriver.enabled).toBe(true);
  expect(warningsOf(loaded)).toEqual([
    'REGISTRY_VERSION: is ignored: the version cannot be set by a variable',
    'REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR: storage.cache is not needed: berth keeps no cache that wants a setting',
    'REGISTRY_REDIS_ADDR: redis is not needed: berth keeps nothing in Redis',
  ]);
});

describe('maintenance is taken in every form', () => {
  test.each<[string, Record<string, string>]>([
    ['nested', { REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true' }],
    ['as YAML', { REGISTRY_STORAGE_MAINTENANCE_READONLY: '{"enabled":true}' }],
    ['as YAML, one level up', { REGISTRY_STORAGE_MAINTENANCE: '{"readonly":{"enabled":true}}' }],
  ])('read-only %s', async (_form, environment) => {
    const { storage } = (await loadText(fileWith(''), environment)).config;
    expect(storage.maintenance.readonly.enabled).toBe(true);
  });

  test.each<[string, Record<string, string>]>([
    ['nested', { REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE: '24h' }],
    ['as YAML', { REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING: '{"age":"24h"}' }],
  ])('a part of upload purging %s', async (_form, environment) => {
    const { storage } = (await loadText(fileWith(''), environment)).config;
    const expected = { enabled: true, age: 86_400_000, interval: 86_400_000, dryrun: false };
    expect(storage.maintenance.uploadpurging).toEqual(expected);
  });
});

test.each([
  ['log.level is not given', '', 'debug'],
  ['log has no value', 'log:', 'debug'],
  ['log.level is given', 'log: {level: error}', 'error'],
])('loglevel is deprecated and counts if %s', async (_when, part, level) => {
  const loaded = await loadText(fileWith(`loglevel: debug\n${part}`));
  expect(loaded.config.log.level).toBe(level);
  expect(warningsOf(loaded)).toEqual([
    'config.yml:3: loglevel is deprecated and is taken for log.level, unless that is given; use log.level',
  ]);
});

test('every given key knows where it is from', async () => {
  const { origins } = await loadText('version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /a\n', {
    REGISTRY_HTTP_ADDR: ':0',
  });
  expect([...origins].map(([key, source]) => [key, withoutFolder(source)])).toEqual([
    ['storage.filesystem.rootdirectory', 'config.yml:4'],
    ['version', 'config.yml:1'],
    ['http.addr', 'REGISTRY_HTTP_ADDR'],
  ]);
});

test('a finding is one line', () => {
  const finding = { source: 'a.yml:3', key: 'http.addr', value: 'x', message: 'must be host:port' };
  expect(formatFinding(finding)).toBe('a.yml:3: http.addr "x" must be host:port');
});
