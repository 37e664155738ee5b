import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { UpstreamClient } from './client.ts';
import {
  accept,
  bytesOf,
  clientOf,
  digestOfText,
  type LyingUpstream,
  latest,
  manifestDigest,
  oneManifest,
  repository,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

let upstream: LyingUpstream;
let elsewhere: LyingUpstream;
let client: UpstreamClient;
const digest = digestOfText('blob');

beforeAll(async () => {
  upstream = await startLyingUpstream();
  elsewhere = await startLyingUpstream();
});
beforeEach(() => {
  client = clientOf([upstream], { credentials: { username: 'alice', password: 'secret' } });
  return () => client.close();
});
afterAll(() => Promise.all([upstream.close(), elsewhere.close()]));

/** Asks for a password, and then sends on to `location`. */
function sendOn(location: string | (() => string), status = 307): void {
  upstream.handler = (request, response) => {
    if (request.headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    } else {
      response.writeHead(status, { location: typeof location === 'string' ? location : location() }).end('<a>here</a>');
    }
  };
}
const blob = async () => (await bytesOf((await client.openBlob(repository, digest)).body)).toString();

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])('with %i is followed to another host without the login', async (status) => {
    sendOn(`${elsewhere.url}/cdn?signature=1`, status);
    elsewhere.handler = (_, response) => response.end('blob');
    expect(await blob()).toBe('blob');
    const { target, headers } = elsewhere.requests.at(-1) ?? {};
    expect(target).toBe('/cdn?signature=1');
    expect(headers).not.toHaveProperty('authorization');
    expect(headers).toMatchObject({ 'user-agent': 'berth-test', 'accept-encoding': 'identity' });
  });

  it('takes the range with it', async () => {
    sendOn(`${elsewhere.url}/cdn`);
    elsewhere.handler = (_, response) => response.writeHead(206, { 'content-range': 'bytes 2-3/4' }).end('ob');
    const { body } = await client.openBlob(repository, digest, { start: 2 });
    expect((await bytesOf(body)).toString()).toBe('ob');
    expect(elsewhere.requests.at(-1)?.headers.range).toBe('bytes=2-');
  });

  it('on the same host keeps the login, and its path may be relative', async () => {
    upstream.handler = (request, response, { pathname }) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else if (pathname.startsWith('/v2/library/app/')) response.writeHead(302, { location: '../../moved' }).end();
      else response.end(request.headers.authorization);
    };
    expect(await blob()).toMatch(/^Basic /);
    expect(upstream.requests.at(-1)?.target).toBe('/v2/library/moved');
  });

  it('that comes back from another host does not bring the login back', async () => {
    elsewhere.handler = (_, response) => response.writeHead(302, { location: `${upstream.url}/back` }).end();
    upstream.handler = (request, response, { pathname }) => {
      if (pathname === '/back') response.end(request.headers.authorization ?? 'nobody');
      else if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.writeHead(302, { location: elsewhere.url }).end();
    };
    expect(await blob()).toBe('nobody');
  });

  it('is followed for manifests, too', async () => {
    sendOn(`${elsewhere.url}/manifest`);
    elsewhere.handler = oneManifest;
    expect((await client.headManifest(repository, latest, accept)).digest).toBe(manifestDigest);
    expect((await client.getManifest(repository, latest, accept)).descriptor.digest).toBe(manifestDigest);
  });

  it('that asks for a login elsewhere gets none', async () => {
    sendOn(elsewhere.url);
    elsewhere.handler = (_, response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="y"' }).end();
    const before = elsewhere.requests.length;
    await expect(blob()).rejects.toMatchObject({ kind: 'denied', message: expect.stringContaining(`from 127.0.0.1`) });
    expect(elsewhere.requests.slice(before).map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it('that never ends is not followed for ever', async () => {
    let count = 0;
    sendOn(() => `${upstream.url}/v2/${++count}`);
    await expect(blob()).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining('more than 5') });
    expect(count).toBe(6);
  });

  it.each([
    ['ftp://127.0.0.1/blob', 'a redirect to ftp:'],
    ['file:///etc/passwd', 'a redirect to file:'],
    ['http://169.254.169.254/latest/meta-data', 'internal address'],
    ['http://[fe80::1]/', 'internal address'],
    ['http://0.0.0.0/', 'internal address'],
    ['http://[::ffff:169.254.169.254]/', 'internal address'],
    ['http://[64:ff9b::a9fe:a9fe]/', 'internal address'],
    ['http://user:password@127.0.0.1/', 'credentials in it'],
    ['http://', 'nowhere'],
    ['', 'nowhere'],
  ])('to %j is refused', async (location, reason) => {
    sendOn(location);
    await expect(blob()).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining(reason) });
  });

  it('to a name that is this machine is refused to who is not on it', async () => {
    const names = await startLyingUpstream();
    // The endpoint is reached by an address that is its own, whatever it is: that is for the operator to say.
    const other = clientOf([{ url: `http://0.0.0.0:${names.port}` }]);
    names.handler = (_, response) => response.writeHead(302, { location: `${elsewhere.url}/blob` }).end();
    const before = elsewhere.requests.length;
    await expect(other.openBlob(repository, digest)).rejects.toMatchObject({ kind: 'invalid' });
    names.handler = (_, response) => response.writeHead(302, { location: `http://localhost:${elsewhere.port}/` }).end();
    await expect(other.openBlob(repository, digest)).rejects.toMatchObject({ kind: 'invalid' });
    expect(elsewhere.requests).toHaveLength(before);
    await other.close();
    await names.close();
  });
});
