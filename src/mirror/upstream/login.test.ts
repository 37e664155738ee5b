import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parseRepositoryName } from '../../oci/name.ts';
import type { UpstreamClient, UpstreamClientOptions } from './client.ts';
import {
  accept,
  clientOf,
  type Handler,
  impatient,
  type LyingUpstream,
  latest,
  manifestDigest,
  repository,
  sendError,
  sendManifest,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

const credentials = { username: 'alice', password: 'geheimnis' };
const basic = `Basic ${Buffer.from('alice:geheimnis').toString('base64')}`;

let upstream: LyingUpstream;
let server: LyingUpstream;
let time = Date.now();
let valid = new Set<string>();
let issued = 0;
const clients: UpstreamClient[] = [];

beforeAll(async () => {
  upstream = await startLyingUpstream();
  server = await startLyingUpstream();
});
beforeEach(async () => {
  await upstream.close();
  await server.close();
  upstream = await startLyingUpstream(privateRegistry());
  server = await startLyingUpstream(tokenServer());
  time = Date.now();
  valid = new Set();
  issued = 0;
  return () => Promise.all(clients.splice(0).map((client) => client.close()));
});
afterAll(() => Promise.all([upstream.close(), server.close()]));

/** Lets in who has a token that counts. */
function privateRegistry(challenge = () => bearer()): Handler {
  return (request, response) => {
    const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
    if (valid.has(token)) return sendManifest(request, response);
    sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge() });
  };
}

function tokenServer({ name = 'token', expires = 300 as unknown } = {}): Handler {
  return (_, response) => {
    const token = `token-${++issued}`;
    valid.add(token);
    response.end(JSON.stringify({ [name]: token, expires_in: expires }));
  };
}

function bearer(realm = `${server.url}/token?from=realm`, scope = 'repository:library/app:pull', more = ''): string {
  return `Bearer realm="${realm}",service="registry.example",scope="${scope}"${more}`;
}

function client(options: Partial<UpstreamClientOptions> = {}): UpstreamClient {
  const made = clientOf([upstream], { now: () => time, ...options });
  clients.push(made);
  return made;
}

const pull = (from: UpstreamClient, name = repository) => from.getManifest(name, latest, accept);
const authorizations = (of: LyingUpstream) => of.requests.map(({ headers }) => headers.authorization);

describe('a token', () => {
  it('is fetched when it is asked for, as nobody where there are no credentials', async () => {
    const from = client();
    expect((await pull(from)).descriptor.digest).toBe(manifestDigest);
    await pull(from);
    expect(authorizations(upstream)).toEqual([undefined, 'Bearer token-1', 'Bearer token-1']);
    expect(server.requests.map(({ method, target }) => `${method} ${target}`)).toEqual([
      'GET /token?from=realm&service=registry.example&scope=repository%3Alibrary%2Fapp%3Apull',
    ]);
    expect(authorizations(server)).toEqual([undefined]);
    expect(server.requests[0]?.headers['user-agent']).toBe('berth-test');
  });

  it('is fetched with the credentials, which go to the token server only', async () => {
    await pull(client({ credentials }));
    await pull(client({ credentials: () => Promise.resolve(credentials) }));
    expect(authorizations(server)).toEqual([basic, basic]);
    expect(authorizations(upstream)).not.toContain(basic);
  });

  it('may be called access_token, and lives for a minute when nothing else is said', async () => {
    server.handler = tokenServer({ name: 'access_token', expires: null });
    const from = client();
    await pull(from);
    time += 45_000;
    await pull(from);
    expect(issued).toBe(1);
    time += 5_000;
    await pull(from);
    expect(issued).toBe(2);
    expect(authorizations(upstream)).toEqual([undefined, 'Bearer token-1', 'Bearer token-1', 'Bearer token-2']);
  });

  it.each<[unknown, number, number]>([
    [300, 269, 271],
    [10, 7, 9],
    [1e9, 86_369, 86_371],
    [-5, 47, 49],
    ['300', 47, 49],
  ])('with expires_in %j is good for %i s, not for %i s', async (expires, good, late) => {
    server.handler = tokenServer({ expires });
    const from = client();
    await pull(from);
    time += good * 1000;
    await pull(from);
    expect(issued).toBe(1);
    time += (late - good) * 1000;
    await pull(from);
    expect(issued).toBe(2);
  });

  it('is used to its last second when no other can be had', async () => {
    const from = client();
    await pull(from);
    server.handler = (_, response) => response.writeHead(503).end();
    time += 299_000;
    await pull(from);
    time += 2_000;
    await expect(pull(from)).rejects.toMatchObject({ kind: 'unreachable', request: `GET ${server.url}/token` });
  });

  it('is fetched once for all who want the same at the same time', async () => {
    const from = client();
    await Promise.all(Array.from({ length: 20 }, () => pull(from)));
    expect(issued).toBe(1);
    time += 290_000;
    await Promise.all(Array.from({ length: 20 }, () => pull(from)));
    expect(issued).toBe(2);
  });

  it('is fetched for those who wait on, when who asked first has gone', async () => {
    const from = client();
    let answer = () => undefined as unknown;
    const asked = new Promise<void>((resolve) => {
      server.handler = (request, response, url) => {
        answer = () => tokenServer()(request, response, url);
        resolve();
      };
    });
    const controller = new AbortController();
    const first = from.getManifest(repository, latest, accept, controller.signal);
    await asked;
    const second = pull(from);
    controller.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    answer();
    expect((await second).descriptor.digest).toBe(manifestDigest);
    expect(issued).toBe(1);
  });

  it('is one for each scope', async () => {
    upstream.handler = (request, response, url) =>
      privateRegistry(() => bearer(undefined, `repository:${/v2\/(.*)\/manifests/.exec(url.pathname)?.[1]}:pull`))(
        request,
        response,
        url,
      );
    const from = client();
    await pull(from);
    await pull(from, parseRepositoryName('library/other'));
    await pull(from, parseRepositoryName('library/other'));
    expect(server.requests.map(({ target }) => new URL(target, server.url).searchParams.getAll('scope'))).toEqual([
      ['repository:library/app:pull'],
      ['repository:library/other:pull'],
    ]);
  });

  it('is one for all repositories where the scope is the same', async () => {
    upstream.handler = privateRegistry(() => bearer(undefined, 'aws'));
    const from = client();
    await pull(from);
    await pull(from, parseRepositoryName('library/other'));
    expect(issued).toBe(1);
  });

  it('that is no longer accepted is replaced, once', async () => {
    const from = client();
    await pull(from);
    valid.clear();
    await Promise.all([pull(from), pull(from), pull(from)]);
    expect(issued).toBe(2);

    upstream.handler = (_, response) => sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': bearer() });
    const before = upstream.requests.length;
    await expect(pull(from)).rejects.toMatchObject({ kind: 'denied', status: 401, fault: { code: 'UNAUTHORIZED' } });
    expect(upstream.requests.length - before).toBe(2);
    expect(issued).toBe(3);
  });

  it('is fetched for more when it is not enough', async () => {
    const from = client();
    await pull(from);
    const wide = 'repository:library/app:pull repository:library/base:pull';
    upstream.handler = (request, response) => {
      if (request.headers.authorization === 'Bearer token-2') return sendManifest(request, response);
      const challenge = bearer(undefined, wide, ',error="insufficient_scope"');
      sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    };
    await pull(from);
    expect(new URL(server.requests.at(-1)?.target ?? '', server.url).searchParams.getAll('scope')).toEqual(
      wide.split(' '),
    );
  });

  it('is asked for the repository where the challenge has no scope', async () => {
    upstream.handler = privateRegistry(() => `Bearer realm="${server.url}/token"`);
    await pull(client());
    expect(server.requests[0]?.target).toBe('/token?scope=repository%3Alibrary%2Fapp%3Apull');
  });

  it('is wanted rather than a password, in one line or in two', async () => {
    for (const challenges of [[`Basic realm="x", ${bearer()}`], ['Basic realm="x"', bearer()]]) {
      upstream.handler = (request, response) => {
        const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
        if (valid.has(token)) return sendManifest(request, response);
        response.writeHead(401, { 'www-authenticate': challenges }).end();
      };
      await pull(client({ credentials }));
    }
    expect(authorizations(upstream)).not.toContain(basic);
    expect(issued).toBe(2);
  });
});

describe('a token server', () => {
  it('that does not accept our password is told from one that lets nobody in', async () => {
    server.handler = (_, response) => sendError(response, 401, 'UNAUTHORIZED');
    await expect(pull(client({ credentials }))).rejects.toMatchObject({
      kind: 'denied',
      cause: { message: 'it does not accept our user name and password' },
    });
    const error = await pull(client()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: 'denied' });
    expect(error).not.toHaveProperty('cause');
  });

  it.each<[string, Handler, string, string]>([
    ['is down', (request) => request.socket.destroy(), 'unreachable', ''],
    ['is broken', (_, response) => response.writeHead(500).end(), 'unreachable', 'answers with 500'],
    ['does not answer', () => undefined, 'unreachable', 'did not answer within 200 ms'],
    ['stalls', (_, response) => response.writeHead(200).write('{"token":'), 'unreachable', ''],
    ['says HTML', (_, response) => response.end('<html>log in</html>'), 'invalid', 'has no token'],
    ['says nothing', (_, response) => response.end('{"token":""}'), 'invalid', 'has no token'],
    ['gives a token that is none', (_, response) => response.end('{"token":"a\\r\\nX: y"}'), 'invalid', 'has no token'],
    ['has no end', (_, response) => response.end(Buffer.alloc(1024 * 1024, ' ')), 'invalid', 'longer than'],
    ['sends us on', (_, response) => response.writeHead(302, { location: '/x' }).end(), 'invalid', 'answers with 302'],
    ['is not there', (_, response) => response.writeHead(404).end(), 'invalid', 'answers with 404'],
    ['does not know us', (_, response) => sendError(response, 401, 'UNAUTHORIZED'), 'denied', 'UNAUTHORIZED'],
    ['does not let us', (_, response) => sendError(response, 403, 'DENIED'), 'denied', 'DENIED'],
  ])('that %s', async (_, handler, kind, reason) => {
    server.handler = handler;
    const patience = kind === 'unreachable' ? { timeouts: impatient } : {};
    await expect(pull(client({ credentials, ...patience }))).rejects.toMatchObject({
      kind,
      request: `GET ${server.url}/token`,
      message: expect.stringContaining(reason),
    });
  });

  it('that has had enough of us is left alone', async () => {
    server.handler = (_, response) => sendError(response, 429, 'TOOMANYREQUESTS', { 'retry-after': '30' });
    const from = client();
    await expect(pull(from)).rejects.toMatchObject({ kind: 'throttled', retryAt: time + 30_000 });
    await expect(pull(from)).rejects.toMatchObject({ kind: 'throttled', retryAt: time + 30_000 });
    expect(server.requests).toHaveLength(1);
  });

  it('that repeats a secret does not get it into an error', async () => {
    server.handler = (request, response) => {
      const said = `${request.headers.authorization} is ${Buffer.from(basic.slice(6), 'base64')}`;
      response.writeHead(401).end(JSON.stringify({ details: said }));
    };
    const error: unknown = await pull(client({ credentials })).catch((reason: unknown) => reason);
    expect(String(error)).toContain('Basic … is alice:…');
    expect(JSON.stringify(error)).not.toContain('geheimnis');
  });
});

describe('a realm', () => {
  it('on a foreign host gets nothing, with and without credentials', async () => {
    const realm = `http://localhost:${server.port}/token`;
    upstream.handler = privateRegistry(() => bearer(realm));
    for (const options of [{ credentials }, {}]) {
      await expect(pull(client(options))).rejects.toMatchObject({
        kind: 'invalid',
        status: 401,
        message: expect.stringContaining(`its realm is on a foreign host, localhost:${server.port}`),
      });
    }
    expect(server.requests).toEqual([]);
    expect(authorizations(upstream)).toEqual([undefined, undefined]);
  });

  it('on a host that is allowed is asked, but gets no credentials without TLS', async () => {
    upstream.handler = privateRegistry(() => bearer(`http://localhost:${server.port}/token`));
    const realmHosts = ['localhost'];
    expect((await pull(client({ realmHosts }))).descriptor.digest).toBe(manifestDigest);
    expect(issued).toBe(1);
    await expect(pull(client({ realmHosts, credentials }))).rejects.toMatchObject({ kind: 'invalid' });
    expect(issued).toBe(1);
  });

  it('that was wrong, or has moved, is not remembered', async () => {
    const from = client();
    upstream.handler = privateRegistry(() => bearer(`http://localhost:${server.port}/token`));
    await expect(pull(from)).rejects.toMatchObject({ kind: 'invalid' });
    upstream.handler = privateRegistry();
    await pull(from);

    const { port } = server;
    await server.close();
    time += 400_000;
    await expect(pull(from)).rejects.toMatchObject({ kind: 'unreachable' });
    server = await startLyingUpstream(tokenServer());
    expect(server.port).not.toBe(port);
    await pull(from);
  });

  it('on a link-local address is not asked, even if it is allowed', async () => {
    upstream.handler = privateRegistry(() => bearer('http://169.254.169.254/latest/api/token'));
    await expect(pull(client())).rejects.toMatchObject({ kind: 'invalid' });
    await expect(pull(client({ realmHosts: ['169.254.169.254'] }))).rejects.toMatchObject({ kind: 'invalid' });
  });

  it.each(['', 'token', 'ftp://127.0.0.1/'])('that is %j is refused', async (realm) => {
    upstream.handler = privateRegistry(() => bearer(realm));
    await expect(pull(client())).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('a password', () => {
  const withPassword: Handler = (request, response) => {
    if (request.headers.authorization === basic) return sendManifest(request, response);
    sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="Registry"' });
  };

  it('is sent when it is asked for, and from then on', async () => {
    upstream.handler = withPassword;
    const from = client({ credentials });
    await pull(from);
    await pull(from);
    expect(authorizations(upstream)).toEqual([undefined, basic, basic]);
  });

  it('is read again when it has changed', async () => {
    upstream.handler = withPassword;
    let password = 'old';
    const from = client({ credentials: () => ({ username: 'alice', password }) });
    await expect(pull(from)).rejects.toMatchObject({ kind: 'denied', status: 401 });
    password = 'geheimnis';
    await pull(from);
  });

  it('that is wrong is not tried for ever', async () => {
    upstream.handler = withPassword;
    await expect(pull(client({ credentials: { username: 'alice', password: 'x' } }))).rejects.toMatchObject({
      kind: 'denied',
      fault: { code: 'UNAUTHORIZED' },
      cause: { message: 'it does not accept our user name and password' },
    });
    expect(upstream.requests).toHaveLength(2);
  });

  it('that there is none of is said', async () => {
    upstream.handler = withPassword;
    await expect(pull(client())).rejects.toMatchObject({
      kind: 'denied',
      message: expect.stringContaining('there are none'),
    });
    const failing = client({ credentials: () => Promise.reject(new Error('no such file')) });
    await expect(pull(failing)).rejects.toMatchObject({ kind: 'denied', cause: new Error('no such file') });
  });
});

it.each([undefined, 'Negotiate', 'Bearer service="x"'])('a challenge %j cannot be met', async (challenge) => {
  upstream.handler = (_, response) =>
    response.writeHead(401, challenge === undefined ? {} : { 'www-authenticate': challenge }).end();
  await expect(pull(client({ credentials }))).rejects.toMatchObject({ kind: 'denied', status: 401 });
});
