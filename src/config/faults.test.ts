import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { faultsOf, fileWith, loadText, warningsOf } from './testing/load-text.ts';

const listening = 'must be host:port with a number as port, or the path of a socket with http.net unix';
const reached = 'must be host:port with a number as port, such as 127.0.0.1:5000';
const time = 'must be a span of time with its unit, such as 168h, 1h30m, 10s or 500ms';

describe('a value that is not allowed', () => {
  test.each([
    ['log: {level: trace}', 'log.level "trace" must be one of error, warn, info, debug'],
    ['log: {formatter: xml}', 'log.formatter "xml" must be one of text, json, logstash'],
    ['log: {accesslog: {disabled: maybe}}', 'log.accesslog.disabled "maybe" must be true or false'],
    ['log: {fields: a}', 'log.fields "a" must be a section'],
    ['http: yes', 'http "yes" must be a section'],
    ['http: [a]', 'http must be a section'],
    ['http: {addr: {a: b}}', 'http.addr must be a text'],
    ['http: {addr: "5000"}', `http.addr "5000" ${listening}`],
    ['http: {addr: ":https"}', `http.addr ":https" ${listening}`],
    ['http: {net: unix}', `http.addr ${listening}`],
    ['http: {net: udp}', 'http.net "udp" must be one of tcp, unix'],
    ['http: {prefix: a/b}', 'http.prefix "a/b" must be a path such as /my/registry/, of letters, digits and . _ ~ -'],
    [
      'http: {prefix: "/a//b/"}',
      'http.prefix "/a//b/" must be a path such as /my/registry/, of letters, digits and . _ ~ -',
    ],
    [
      'http: {host: "registry:5000"}',
      'http.host "registry:5000" must be a URL such as https://registry.example:5000, without user, password, query and fragment',
    ],
    [
      'http: {host: "https://u:pw@h"}',
      'http.host "https://<redacted>@h" must be a URL such as https://registry.example:5000, without user, password, query and fragment',
    ],
    ['http: {draintimeout: 60}', `http.draintimeout "60" ${time}`],
    ['http: {timeouts: {body: 0s}}', `http.timeouts.body "0s" ${time}, longer than 0`],
    [
      'storage: {inmemory: , maintenance: {uploadpurging: {interval: soon}}}',
      `storage.maintenance.uploadpurging.interval "soon" ${time}, longer than 0`,
    ],
    ['storage: {inmemory: , maintenance: {readonly: true}}', 'storage.maintenance.readonly "true" must be a section'],
    ['http: {headers: {"a b": [c]}}', 'http.headers.a b is not the name of a header'],
    ['http: {headers: {a: ["b\\nc"]}}', 'http.headers.a.0 "b\\nc" must not hold line breaks and control characters'],
    [
      'http: {tls: {minimumtls: tls1.0}}',
      'http.tls.minimumtls "tls1.0" must be one of tls1.2, tls1.3 (the versions before are broken)',
    ],
    [
      'http: {tls: {certificate: a}}',
      'http.tls.certificate needs http.tls.key: a certificate is of no use without its key',
    ],
    ['http: {tls: {key: a}}', 'http.tls.key needs http.tls.certificate: a key is of no use without its certificate'],
    [
      'http: {tls: {clientcas: [a]}}',
      'http.tls.clientcas needs http.tls.certificate: without TLS no client is asked for a certificate',
    ],
    [
      'http: {tls: {certificate: a, key: b, clientauth: require-any-client-cert}}',
      'http.tls.clientauth needs http.tls.clientcas: without them no client is asked for a certificate',
    ],
    ['http: {debug: {addr: "5001"}}', `http.debug.addr "5001" ${reached}`],
    ['http: {debug: {addr: ":0"}}', `http.debug.addr ":0" ${reached}`],
    ['http: {debug: true}', 'http.debug "true" must be a section'],
    ['http: {debug: {prometheus: {enabled: maybe}}}', 'http.debug.prometheus.enabled "maybe" must be true or false'],
    [
      'http: {debug: {prometheus: {path: "/:name"}}}',
      'http.debug.prometheus.path "/:name" must be a path such as /metrics, of letters, digits and . _ ~ -',
    ],
    [
      'http: {debug: {prometheus: {path: /debug/health}}}',
      'http.debug.prometheus.path "/debug/health" is where the debug server says which checks fail; choose another',
    ],
    ['catalog: {maxentries: 1.5}', 'catalog.maxentries "1.5" must be a whole number'],
    ['catalog: {maxentries: many}', 'catalog.maxentries "many" must be a number'],
    ['tags: {maxtags: -1}', 'tags.maxtags "-1" must be a whole number of at least 0'],
    [
      'validation: {manifests: {urls: {deny: ["("]}}}',
      'validation.manifests.urls.deny.0 "(" must be a regular expression that Go and JavaScript read alike (no \\A, \\z, \\p, \\Q, [[:class:]], (?P<name>), (?=a), (?!a), \\1)',
    ],
    [
      'validation: {manifests: {indexes: {platforms: some}}}',
      'validation.manifests.indexes.platforms "some" must be one of all, none, list',
    ],
    [
      'validation: {manifests: {indexes: {platformlist: [{os: linux}]}}}',
      'validation.manifests.indexes.platformlist.0.architecture is missing',
    ],
    [
      'health: {http: [{uri: "ftp://a"}]}',
      'health.http.0.uri "ftp://a" must be a URL such as http://127.0.0.1:8080/health, without user, password and fragment',
    ],
    [
      'health: {http: [{uri: "http://a", statuscode: 99}]}',
      'health.http.0.statuscode "99" must be a whole number of at least 100',
    ],
    ...['often', '* * * * * *', '60 * * * *', '0 0 30 2 *', '2999-01-01T00:00:00'].map((cron) => [
      `mirror: {schedule: [{cron: "${cron}", images: [a]}]}`,
      `mirror.schedule.0.cron "${cron}" must be a time that comes, in five fields: minute, hour, day, month and day of the week, such as 30 3 * * 1-5`,
    ]),
    ['mirror: {schedule: [{cron: "@daily", images: []}]}', 'mirror.schedule.0.images must not be empty'],
    ['health: {tcp: [{addr: a}]}', `health.tcp.0.addr "a" ${reached}`],
    ['health: {tcp: [{addr: "db:http"}]}', `health.tcp.0.addr "db:http" ${reached}`],
    ['health: {tcp: [{addr: "db:0"}]}', `health.tcp.0.addr "db:0" ${reached}`],
    ['health: {file: {file: a}}', 'health.file must be a list'],
    [
      'proxy: {remoteurl: registry-1.docker.io}',
      'proxy.remoteurl "registry-1.docker.io" must be a URL such as https://registry.example:5000, without user, password, query and fragment',
    ],
    ['proxy: {remoteurl: "http://a", exec: {lifetime: 1h}}', 'proxy.exec.command is missing'],
    ['proxy: {remoteurl: "http://a", ttl: 7d}', `proxy.ttl "7d" ${time}`],
    [
      'mirror: {upstreams: [{name: "a.example:1"}, {name: "a.example:2"}]}',
      'mirror.upstreams.1.prefix overlaps with a.example, the prefix of a.example:1: give one of them another prefix (without one it is the name, without the port)',
    ],
    [
      'mirror: {upstreams: [{name: a, prefix: hub/inner}, {name: b, prefix: hub}]}',
      'mirror.upstreams.1.prefix "hub" overlaps with hub/inner, the prefix of a: give one of them another prefix (without one it is the name, without the port)',
    ],
    [
      'mirror: {upstreams: [{name: docker.io}, {name: index.docker.io}]}',
      'mirror.upstreams.1.name "index.docker.io" is a name of docker.io already',
    ],
    [
      'mirror: {upstreams: [{name: a, aliases: [B.example]}, {name: b.example}]}',
      'mirror.upstreams.1.name "b.example" is a name of a already',
    ],
    [
      'mirror: {upstreams: [{name: a, accounts: [{endpoint: "https://b", username: c, password: d}]}]}',
      'mirror.upstreams.0.accounts.0.endpoint "https://b" is none of its endpoints',
    ],
    [
      'mirror: {upstreams: [{name: a, endpoints: []}]}',
      'mirror.upstreams.0.endpoints must have one at least, or be left out',
    ],
    [
      'mirror: {upstreams: [{name: a, endpoints: ["http://h/?token=s3"]}]}',
      'mirror.upstreams.0.endpoints.0 "http://h/?token=s3" must be a URL such as https://registry.example:5000, without user, password, query and fragment',
    ],
    [
      'mirror: {upstreams: [{name: "a.example:99999"}]}',
      'mirror.upstreams.0.name "a.example:99999" must be a host, with a port where it needs one, such as docker.io or registry.example:5000',
    ],
    ['mirror: {upstreams: [{name: a, username: b}]}', 'mirror.upstreams.0.username "b" needs password or passwordfile'],
    [
      'mirror: {upstreams: [{name: a, endpoints: ["https://b"], accounts: [{endpoint: "https://b", username: c}]}]}',
      'mirror.upstreams.0.accounts.0.username "c" needs password or passwordfile',
    ],
    ['mirror: {upstreams: [{name: a, password: b}]}', 'mirror.upstreams.0.username is missing'],
    [
      'mirror: {upstreams: [{name: a, realms: ["https://auth.example/token"]}]}',
      'mirror.upstreams.0.realms.0 "https://auth.example/token" must be a host, with a port where it needs one, such as auth.example.com, without https:// and path',
    ],
    [
      'mirror: {upstreams: [{name: a, realms: ["*.auth.example", "auth.example:5001"], aliases: ["b.example/"]}]}',
      'mirror.upstreams.0.aliases.0 "b.example/" must be a host, with a port where it needs one, such as auth.example.com, without https:// and path',
    ],
    ['mirror: {maxdownloads: 0}', 'mirror.maxdownloads "0" must be a whole number of at least 1'],
  ])('%s', async (part, fault) => {
    const text = part.startsWith('storage') ? `version: 0.1\n\n${part}` : fileWith(part);
    expect(await faultsOf(text)).toEqual([`config.yml:3: ${fault}`]);
  });

  test('the endpoint of an account may be spelled in another way than in the list', async () => {
    const { config } = await loadText(
      fileWith(
        'mirror: {upstreams: [{name: a, endpoints: ["https://B.example:443/x/"], accounts: [{endpoint: "https://b.example/x", username: c, password: d}]}]}',
      ),
    );
    const [upstream] = config.mirror.upstreams;
    expect(upstream?.endpoints).toEqual(upstream?.accounts.map(({ endpoint }) => endpoint));
  });

  test('a proxy and a mirror exclude each other', async () => {
    const faults = await faultsOf(fileWith('mirror: {upstreams: [{name: docker.io}]}'), {
      REGISTRY_PROXY_REMOTEURL: 'https://registry-1.docker.io',
    });
    expect(faults).toEqual([
      expect.stringMatching(/^REGISTRY_PROXY_REMOTEURL: proxy\.remoteurl excludes mirror\.upstreams: /),
    ]);
  });

  test('cipher suites are named as Go does', async () => {
    const [fault = ''] = await faultsOf(fileWith('http: {tls: {ciphersuites: [TLS_RSA_WITH_3DES_EDE_CBC_SHA]}}'));
    expect(fault).toContain('"TLS_RSA_WITH_3DES_EDE_CBC_SHA" must be one of TLS_RSA_WITH_AES_128_CBC_SHA, ');
  });

  test.each([
    ['is missing', 'storage: inmemory', 'config.yml:1: version must be 0.1, the only version of the format'],
    [
      'is another',
      'version: 0.2\nstorage: inmemory',
      'config.yml:1: version "0.2" must be 0.1, the only version of the format',
    ],
    [
      'is almost right',
      'version: 0.10\nstorage: inmemory',
      'config.yml:1: version "0.10" must be 0.1, the only version of the format',
    ],
  ])('a version that %s', async (_what, text, fault) => expect(await faultsOf(text)).toEqual([fault]));

  test.each([
    ['a list', '- a', 'config.yml:1: is not a configuration: it must be a section'],
    [
      'broken',
      'version: 0.1\nhttp: {addr: a',
      'config.yml:2:15: is not YAML: the indentation does not fit what is around it',
    ],
  ])('a file that is %s', async (_what, text, fault) => expect(await faultsOf(text)).toEqual([fault]));

  test('all are reported at once, each with its place', async () => {
    const text =
      'version: 0.1\nstorage: inmemory\nlog:\n  level: trace\nhttp:\n  relativeurls: maybe\n  tls: {key: k}\n';
    expect(await faultsOf(text, { REGISTRY_AUTH: 'htpasswd', REGISTRY_HTTP_DRAINTIMEOUT: 'soon' })).toEqual([
      'config.yml:4: log.level "trace" must be one of error, warn, info, debug',
      'REGISTRY_AUTH: auth.htpasswd.realm is missing',
      'REGISTRY_AUTH: auth.htpasswd.path is missing',
      'config.yml:6: http.relativeurls "maybe" must be true or false',
      `REGISTRY_HTTP_DRAINTIMEOUT: http.draintimeout "soon" ${time}`,
      'config.yml:7: http.tls.key needs http.tls.certificate: a key is of no use without its certificate',
    ]);
  });
});

describe('a key that berth does not act on', () => {
  test.each([
    ['auth: {silly: {realm: a, service: b}}', 'auth.silly'],
    ['auth: silly', 'auth.silly'],
    ['middleware: {storage: [{name: cloudfront, options: {a: b}}]}', 'middleware'],
    ['http: {tls: {letsencrypt: {cachefile: /a, email: b}}}', 'http.tls.letsencrypt'],
  ])('is a fault where ignoring it would be unsafe: %s', async (part, key) => {
    const faults = await faultsOf(fileWith(part));
    expect(faults).toEqual([expect.stringMatching(`^config.yml:3: ${key} is not supported: [^"]+$`)]);
    expect(faults.join()).not.toContain('hunter2');
  });

  test.each([
    ['REGISTRY_AUTH_SILLY_REALM', 'a', 'auth.silly'],
    ['REGISTRY_MIDDLEWARE_STORAGE_0_NAME', 'redirect', 'middleware'],
    ['REGISTRY_HTTP_TLS_LETSENCRYPT_CACHEFILE', '/a', 'http.tls.letsencrypt'],
  ])('is a fault as a variable too: %s', async (name, value, key) => {
    expect(await faultsOf(fileWith(''), { [name]: value })).toEqual([
      expect.stringContaining(`${name}: ${key} is not supported`),
    ]);
  });

  test.each([
    'auth: none',
    'auth: {none: {}}',
    'middleware: {storage: [{name: redirect, disabled: true}]}',
    'middleware: {registry: []}',
    'http: {tls: {letsencrypt: {hosts: []}}}',
    'log: {reportcaller: false, hooks: []}',
    'compatibility: {schema1: {enabled: false}}',
  ])('is not mentioned where it asks for nothing: %s', async (part) => {
    expect(warningsOf(await loadText(fileWith(part)))).toEqual([]);
  });

  test.each([
    ['redis: {addrs: [a]}', 'redis'],
    ['log: {hooks: [{type: mail}]}', 'log.hooks'],
    ['log: {reportcaller: true}', 'log.reportcaller'],
    ['policy: {repository: {classes: [a]}}', 'policy'],
    ['reporting: {bugsnag: {apikey: hunter2}}', 'reporting'],
    ['compatibility: {schema1: {enabled: true}}', 'compatibility'],
    ['validation: {enabled: true}', 'validation.enabled'],
  ])('is a warning otherwise: %s', async (part, key) => {
    const warnings = warningsOf(await loadText(fileWith(part)));
    expect(warnings).toEqual([expect.stringContaining(`config.yml:3: ${key} is `)]);
    expect(warnings.join()).not.toContain('hunter2');
  });
});

describe('access control that is empty', () => {
  const message = 'auth is empty, so that everybody may do everything; say auth: {none: {}} if that is meant';

  test.each(['auth:', 'auth: {}'])('in the file is a warning: %s', async (part) => {
    expect(warningsOf(await loadText(fileWith(part)))).toEqual([`config.yml:3: ${message}`]);
  });

  test.each(['', '{}'])('by a variable is a fault: %j', async (value) => {
    const file = fileWith('auth: {builtin: {}}');
    expect(await faultsOf(file, { REGISTRY_AUTH: value })).toEqual([`REGISTRY_AUTH: ${message}`]);
  });
});

describe('access control that would let in others than meant is a fault', () => {
  test.each([
    ['auth: htpasswd', ['auth.htpasswd.realm is missing', 'auth.htpasswd.path is missing']],
    ['auth: {htpasswd: }', ['auth.htpasswd.realm is missing', 'auth.htpasswd.path is missing']],
    [
      'auth: {ldap: {url: a}}',
      ['auth.ldap is no kind of access control of berth; they are silly, none, htpasswd, token, builtin'],
    ],
    ['auth: htpaswd', ['auth.htpaswd is no kind of access control of berth; did you mean auth.htpasswd?']],
    ['auth: {none: {}, htpasswd: {realm: a, path: b}}', ['auth must have one section, and has none and htpasswd']],
    [
      'auth: {builtin: {policy: [{who: [alice], actions: [pull]}]}}',
      [
        expect.stringMatching(
          /^auth\.builtin\.policy\.0\.who\.0 "alice" must be anonymous, users, group:<name>, user:<name>/,
        ),
      ],
    ],
    [
      'auth: {builtin: {policy: [{who: [group:a], actions: [pull]}]}}',
      ['auth.builtin.policy.0.who.0 "group:a" names a group that auth.builtin.groups does not have'],
    ],
    [
      'auth: {builtin: {policy: [{who: [users], actions: [write], repositories: [/a]}]}}',
      [
        expect.stringMatching(/^auth\.builtin\.policy\.0\.repositories\.0 "\/a" must be a pattern of repository names/),
        'auth.builtin.policy.0.actions.0 "write" must be one of pull, push, delete, catalog, admin',
      ],
    ],
    [
      'auth: {builtin: {policy: [{repository: [public/**], who: [anonymous], actions: [pull]}]}}',
      ['auth.builtin.policy.0.repository is not known; did you mean auth.builtin.policy.0.repositories?'],
    ],
    [
      'auth: {builtin: {policy: [{repositories: , who: [anonymous], actions: [pull]}]}}',
      ['auth.builtin.policy.0.repositories has no value; give it one, or take it out if the default is meant'],
    ],
    [
      'auth: {builtin: {issuers: [{name: a, issuer: "https://a.example", audience: [b], requires: {c: d}}]}}',
      ['auth.builtin.issuers.0.requires is not known; did you mean auth.builtin.issuers.0.require?'],
    ],
    [
      'auth: {builtin: {issuers: [{name: a, issuer: "https://a.example", audience: [b]}, {name: a, issuer: "https://b.example", audience: [b]}]}}',
      ['auth.builtin.issuers.1.name "a" is that of another issuer too'],
    ],
    [
      'auth: {builtin: {policy: [{repositories: ["{user}/**"], who: [users], actions: [pull]}]}}',
      [expect.stringMatching(/^auth\.builtin\.policy\.0\.repositories\.0 "\{user\}\/\*\*" must be a pattern/)],
    ],
    [
      'auth: {builtin: {tokenlifetime: 10s}}',
      [
        'auth.builtin.tokenlifetime "10s" must be from 1m, which clients count on, to 1h, as what is revoked serves for so long',
      ],
    ],
    [
      'auth: {builtin: {certificates: dns}}',
      ['auth.builtin.certificates needs http.tls.clientcas: without them no client has a certificate that is believed'],
    ],
  ])('%s', async (part, expected) => {
    const faults = (await faultsOf(fileWith(part))).map((fault) => fault.replace(/^config\.yml:3: /, ''));
    expect(faults).toEqual(expected);
  });
});

describe('a key that nobody knows is a warning', () => {
  test.each([
    ['http: {adr: x}', 'http.adr is not known and is ignored; did you mean http.addr?'],
    ['http: {Addr: x}', 'http.Addr is not known and is ignored; did you mean http.addr?'],
    ['auht: {htpasswd: }', 'auht is not known and is ignored; did you mean auth?'],
    ['x-common: {a: b}', 'x-common is not known and is ignored'],
    [
      'health: {file: [{file: a, intervall: 1s}]}',
      'health.file.0.intervall is not known and is ignored; did you mean health.file.0.interval?',
    ],
  ])('%s', async (part, warning) => {
    expect(warningsOf(await loadText(fileWith(part)))).toEqual([`config.yml:3: ${warning}`]);
  });

  test('whose value is not shown', async () => {
    const { warnings } = await loadText(fileWith('http: {secrt: hunter2}'));
    expect(JSON.stringify(warnings)).not.toContain('hunter2');
  });
});

test('cipher suites have no effect with TLS 1.3 alone', async () => {
  const part = 'http: {tls: {minimumtls: tls1.3, ciphersuites: [TLS_AES_128_GCM_SHA256]}}';
  expect(warningsOf(await loadText(fileWith(part)))).toEqual([
    'config.yml:3: http.tls.ciphersuites has no effect with http.tls.minimumtls tls1.3, whose suites are fixed',
  ]);
});

describe('who is told of events', () => {
  const endpoint = (part: string) => fileWith(`notifications: {endpoints: [{name: a, ${part}}]}`);

  test('needs an address, unless he is told nothing', async () => {
    expect(await faultsOf(endpoint('timeout: 1s'))).toEqual([
      'config.yml:3: notifications.endpoints.0.url is missing: events must go somewhere',
    ]);
    expect(warningsOf(await loadText(endpoint('disabled: true')))).toEqual([]);
  });

  test.each([
    ['url: b', 'url "b" must be a URL'],
    ['url: "http://user:hunter2@b"', 'url "http://<redacted>@b" must be a URL'],
    [
      'url: "http://b", ignore: {actions: [pulls]}',
      'ignore.actions.0 "pulls" must be one of pull, push, mount, delete',
    ],
    ['url: "http://b", headers: {"a b": [hunter2]}', 'headers.a b is not the name of a header'],
  ])('is wrong with %s', async (part, message) => {
    const faults = await faultsOf(endpoint(part));
    expect(faults).toEqual([expect.stringContaining(`notifications.endpoints.0.${message}`)]);
    expect(faults.join()).not.toContain('hunter2');
  });
});

test('metrics that no server has are not kept', async () => {
  expect(warningsOf(await loadText(fileWith('http: {debug: {prometheus: {enabled: true}}}')))).toEqual([
    'config.yml:3: http.debug.prometheus.enabled has no effect without http.debug.addr: there is no server that has metrics',
  ]);
  expect(warningsOf(await loadText(fileWith('http: {debug: {prometheus: {enabled: false}}}')))).toEqual([]);
});

test.each([
  ['a section instead', 'http: {secret: {a: hunter2}}', 'http.secret must be a text'],
  ['a list instead', 'http: {secret: [hunter2]}', 'http.secret must be a text'],
  [
    'the stand-in of a printed one',
    'http: {secret: <redacted>}',
    'http.secret "<redacted>" is what a printed configuration shows in place of a secret: put the secret itself here',
  ],
  [
    'a header that cannot be sent',
    'health: {http: [{uri: "http://a", headers: {Authorization: ["hunter2\\n"]}}]}',
    'health.http.0.headers.Authorization.0 "<redacted>" must not hold line breaks and control characters',
  ],
])('the fault of a secret does not show it: %s', async (_what, part, fault) => {
  expect(await faultsOf(fileWith(part))).toEqual([`config.yml:3: ${fault}`]);
  const error: unknown = await loadText(fileWith(part)).catch((error: unknown) => error);
  expect(inspect(error, { depth: 20 })).not.toContain('hunter2');
});
