import { describe, expect, test } from 'vitest';
import { faultsOf, fileWith, loadText, warningsOf } from './testing/load-text.ts';

async function configWith(environment: Record<string, string>, part = '') {
  return (await loadText(fileWith(part), environment)).config;
}

describe('a variable', () => {
  test.each([
    ['sets a key that the file has', 'http: {addr: ":1"}', { REGISTRY_HTTP_ADDR: ':2' }, { addr: ':2' }],
    ['sets a key that the file has not', '', { REGISTRY_HTTP_ADDR: ':2' }, { addr: ':2' }],
    ['sets a section', 'http: {addr: ":1"}', { REGISTRY_HTTP: '{net: unix, addr: /s}' }, { net: 'unix', addr: '/s' }],
    ['goes into a section without a value', 'http:', { REGISTRY_HTTP_ADDR: ':2' }, { addr: ':2' }],
    [
      'without a value takes a key back to its default',
      'http: {addr: ":1"}',
      { REGISTRY_HTTP_ADDR: '' },
      { addr: ':5000' },
    ],
    ['is read as YAML', '', { REGISTRY_HTTP_ADDR: '":2" # here' }, { addr: ':2' }],
    [
      'reaches what is deeper',
      '',
      {
        REGISTRY_HTTP_DEBUG_ADDR: 'localhost:5001',
        REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED: 'true',
        REGISTRY_HTTP_DEBUG_PROMETHEUS_PATH: '/m',
      },
      { debug: { addr: 'localhost:5001', prometheus: { enabled: true, path: '/m' } } },
    ],
    ['sets a list', '', { REGISTRY_HTTP_HEADERS: '{A: [b, c]}' }, { headers: { A: ['b', 'c'] } }],
  ])('%s', async (_what, part, environment: Record<string, string>, http) => {
    expect((await configWith(environment, part)).http).toMatchObject(http);
  });

  test('reaches all of a proxy, of which an address without a value is none', async () => {
    const environment = {
      REGISTRY_PROXY_REMOTEURL: 'https://registry-1.docker.io',
      REGISTRY_PROXY_USERNAME: 'alice',
      REGISTRY_PROXY_PASSWORD: 'hunter2',
      REGISTRY_PROXY_EXEC_COMMAND: 'helper',
      REGISTRY_PROXY_EXEC_LIFETIME: '0',
      REGISTRY_PROXY_TTL: '0',
    };
    const { proxy } = await configWith(environment, 'proxy: {ttl: 1h}');
    expect({ ...proxy, password: proxy.password?.reveal() }).toEqual({
      remoteurl: 'https://registry-1.docker.io',
      username: 'alice',
      password: 'hunter2',
      exec: { command: 'helper', lifetime: 0 },
      ttl: 0,
      cachewritetimeout: 300_000,
    });
    expect((await configWith({ REGISTRY_PROXY_REMOTEURL: '' })).proxy.remoteurl).toBeUndefined();
  });

  test('wins in the order of the names, the more special later', async () => {
    const environment = { REGISTRY_HTTP_ADDR: ':2', REGISTRY_HTTP: '{addr: ":1", net: tcp}' };
    expect((await configWith(environment)).http.addr).toBe(':2');
  });

  test.each(['12345', '0123', '1e3', 'off', '0x10', '1_000', '2020-01-01', 'true'])(
    'for a text keeps %s as it is spelt, in the file too',
    async (spelt) => {
      const variable = await configWith({ REGISTRY_HTTP_SECRET: spelt });
      const file = await configWith({}, `http: {secret: ${spelt}}`);
      expect([variable.http.secret?.reveal(), file.http.secret?.reveal()]).toEqual([spelt, spelt]);
    },
  );

  test.each([
    ['"12345"', '12345'],
    ["'#a'", '#a'],
    ['a#b', 'a#b'],
    ['a=b', 'a=b'],
  ])('for a text reads %s', async (spelt, text) => {
    expect((await configWith({ REGISTRY_HTTP_SECRET: spelt })).http.secret?.reveal()).toBe(text);
  });

  test.each(['true', 'TRUE', 'yes', 'on', '"true"'])('for a flag reads %s as true', async (spelt) => {
    expect((await configWith({ REGISTRY_STORAGE_DELETE_ENABLED: spelt })).storage.delete.enabled).toBe(true);
  });

  test('in a list has an index', async () => {
    const environment = {
      REGISTRY_MIRROR_UPSTREAMS_0_USERNAME: 'alice',
      REGISTRY_MIRROR_UPSTREAMS_0_PASSWORD: 'secret',
    };
    const { mirror } = await configWith(environment, 'mirror: {upstreams: [{name: docker.io}]}');
    expect(mirror.upstreams).toMatchObject([{ name: 'docker.io', username: 'alice' }]);
    expect(mirror.upstreams[0]?.password?.reveal()).toBe('secret');
  });

  test('of another service is not looked at', async () => {
    const environment = {
      REGISTRY_CONFIGURATION_PATH: '/x',
      REGISTRY_SERVICE_HOST: '10.0.0.1',
      REGISTRY_SERVICE_PORT_HTTP: '5000',
      REGISTRY_PORT: 'tcp://10.0.0.1:5000',
      REGISTRY_PORT_5000_TCP_ADDR: '10.0.0.1',
      REGISTRYHTTP: '*',
      HOME: '*',
    };
    expect(warningsOf(await loadText(fileWith(''), environment))).toEqual([]);
  });

  test.each([
    ['REGISTRY_HTTP_ADRR', 'is not known and is ignored; did you mean REGISTRY_HTTP_ADDR?'],
    ['REGISTRY_http_addr', 'is not known and is ignored; did you mean REGISTRY_HTTP?'],
    ['REGISTRY_HTTP_addr', 'is not known and is ignored; did you mean REGISTRY_HTTP_ADDR?'],
    ['REGISTRY_URL', 'is not known and is ignored'],
    ['REGISTRY_', 'is not known and is ignored'],
    ['REGISTRY_HTTP_ADDR_PORT', 'is not known: http.addr holds nothing further'],
    ['REGISTRY_HEALTH_FILE_0_FILE', 'is not known and is ignored; did you mean REGISTRY_HEALTH_FILECHECKERS?'],
    ['REGISTRY_VERSION', 'is ignored: the version cannot be set by a variable'],
  ])('%s is reported, without its value', async (name, message) => {
    const loaded = await loadText(fileWith(''), { [name]: '"hunter2' });
    expect(warningsOf(loaded)).toEqual([`${name}: ${message}`]);
  });

  test('that is not YAML is a fault which does not show the value', async () => {
    expect(await faultsOf(fileWith(''), { REGISTRY_HTTP_SECRET: '"hunter2' })).toEqual([
      'REGISTRY_HTTP_SECRET: http.secret is not YAML: a quote, bracket, comma or colon is missing',
    ]);
  });
});

describe('names that differ from the keys', () => {
  test('FILECHECKERS, HTTPCHECKERS and TCPCHECKERS', async () => {
    const { health } = await configWith({
      REGISTRY_HEALTH_FILECHECKERS_0_FILE: '/f',
      REGISTRY_HEALTH_HTTPCHECKERS_0_URI: 'http://h/',
      REGISTRY_HEALTH_HTTPCHECKERS_0_HEADERS: '{Authorization: [Basic eA==]}',
      REGISTRY_HEALTH_HTTPCHECKERS_0_STATUSCODE: '204',
      REGISTRY_HEALTH_TCPCHECKERS: '[{addr: "t:1", interval: 1m}]',
    });
    expect(health).toMatchObject({
      file: [{ file: '/f', interval: 10_000 }],
      http: [{ uri: 'http://h/', statuscode: 204 }],
      tcp: [{ addr: 't:1', interval: 60_000 }],
    });
    expect(health.http[0]?.headers.Authorization?.[0]?.reveal()).toBe('Basic eA==');
  });

  test.each([
    ['REGISTRY_LOG_HOOKS_0_MAILOPTIONS_SMTP_ADDR', 'log.hooks is not supported: no mail is sent'],
    ['REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES', undefined],
    ['REGISTRY_REDIS_ADDRS', 'redis is not needed: berth keeps nothing in Redis'],
  ])('%s is known', async (name, message) => {
    const loaded = await loadText(fileWith(''), { [name]: 'true' });
    expect(warningsOf(loaded)).toEqual(message === undefined ? [] : [`${name}: ${message}`]);
  });
});

describe('an index', () => {
  const tls = 'http: {tls: {certificate: c, key: k, clientcas: [a, b]}}';

  test.each([
    ['replaces an entry', { REGISTRY_HTTP_TLS_CLIENTCAS_0: 'x' }, ['x', 'b']],
    ['behind the last entry adds one', { REGISTRY_HTTP_TLS_CLIENTCAS_2: 'x' }, ['a', 'b', 'x']],
    [
      'counts, so that 10 comes behind 9',
      Object.fromEntries([...Array(11).keys()].map((i) => [`REGISTRY_HTTP_TLS_CLIENTCAS_${i}`, `${i}`])),
      [...Array(11).keys()].map(String),
    ],
    [
      'comes after the whole list',
      { REGISTRY_HTTP_TLS_CLIENTCAS: '[x]', REGISTRY_HTTP_TLS_CLIENTCAS_1: 'y' },
      ['x', 'y'],
    ],
  ])('%s', async (_what, environment: Record<string, string>, expected) => {
    expect((await configWith(environment, tls)).http.tls.clientcas).toEqual(expected);
  });

  test.each(['3', 'X', '-1'])('%s is a fault in a list of two', async (index) => {
    const name = `REGISTRY_HTTP_TLS_CLIENTCAS_${index}`;
    expect(await faultsOf(fileWith(tls), { [name]: 'x' })).toEqual([
      `${name}: http.tls.clientcas must have an index from 0 to 2 here: what comes behind the last entry adds one`,
    ]);
  });
});

describe('a key of a map', () => {
  const name = 'REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin';

  test('is taken in lower case, hyphens and all', async () => {
    expect((await configWith({ [name]: '["*"]' })).http.headers).toEqual({ 'access-control-allow-origin': ['*'] });
  });

  test('replaces the one of the file, however it is spelt there', async () => {
    const part = 'http: {headers: {Access-Control-Allow-Origin: [a], B: [c]}}';
    const { http } = await configWith({ [name]: '["*"]' }, part);
    expect(http.headers).toEqual({ 'Access-Control-Allow-Origin': ['*'], B: ['c'] });
  });

  test('may have a single value instead of a list', async () => {
    expect((await configWith({ [name]: 'https://a' })).http.headers).toEqual({
      'access-control-allow-origin': ['https://a'],
    });
  });

  test('with a bare * gets advice', async () => {
    expect(await faultsOf(fileWith(''), { [name]: '*' })).toEqual([
      `${name}: http.headers.access-control-allow-origin is not YAML: a * begins an alias; quote the value, as in '["*"]'`,
    ]);
  });

  test('in log.fields', async () => {
    expect((await configWith({ REGISTRY_LOG_FIELDS_SERVICE: 'registry' })).log.fields).toEqual({ service: 'registry' });
  });
});
