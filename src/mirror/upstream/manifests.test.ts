import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import type { UpstreamClient } from './client.ts';
import {
  accept,
  clientOf,
  digestOfText,
  impatient,
  type LyingUpstream,
  latest,
  manifest,
  manifestDigest,
  oneManifest,
  repository,
  sendError,
  sendManifest,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

let upstream: LyingUpstream;
let client: UpstreamClient;
let before = 0;

beforeAll(async () => {
  upstream = await startLyingUpstream();
});
beforeEach(() => {
  client = clientOf([upstream]);
  before = upstream.requests.length;
  return () => client.close();
});
afterAll(() => upstream.close());

const requests = () => upstream.requests.slice(before);
const get = (reference = latest as typeof latest | typeof manifestDigest) =>
  client.getManifest(repository, reference, accept);
const head = (reference = latest as typeof latest | typeof manifestDigest) =>
  client.headManifest(repository, reference, accept);

describe('a manifest', () => {
  it('comes as it is, by tag and by digest', async () => {
    upstream.handler = oneManifest;
    const descriptor = { mediaType: mediaTypes.ociManifest, digest: manifestDigest, size: manifest.length };
    expect(await get()).toEqual({ descriptor, content: manifest });
    expect(await get(manifestDigest)).toEqual({ descriptor, content: manifest });
    const [first, second] = requests();
    expect(first).toMatchObject({ method: 'GET', target: '/v2/library/app/manifests/latest' });
    expect(first?.headers).toMatchObject({
      accept: `${mediaTypes.ociManifest}, ${mediaTypes.ociIndex}`,
      'accept-encoding': 'identity',
      'user-agent': 'berth-test',
    });
    expect(first?.headers).not.toHaveProperty('authorization');
    expect(second?.target).toBe(`/v2/library/app/manifests/${manifestDigest}`);
  });

  it('needs no Docker-Content-Digest', async () => {
    upstream.handler = (_, response) =>
      response.writeHead(200, { 'content-type': mediaTypes.ociManifest }).end(manifest);
    expect((await get()).descriptor.digest).toBe(manifestDigest);
  });

  it('has the digest it was asked for, and that of the header in another algorithm', async () => {
    const sha512 = digestOf(manifest, 'sha512');
    upstream.handler = (request, response) => sendManifest(request, response, { digest: sha512 });
    expect((await get(manifestDigest)).descriptor.digest).toBe(manifestDigest);
    expect((await get()).descriptor.digest).toBe(sha512);
    expect((await head(manifestDigest)).digest).toBe(manifestDigest);
  });

  it.each([undefined, 'application/json', 'application/json; charset=utf-8', 'text/plain', 'application/octet-stream'])(
    'says itself what it is when its Content-Type is %s',
    async (type) => {
      upstream.handler = (request, response) => {
        if (type !== undefined) response.setHeader('content-type', type);
        response.setHeader('docker-content-digest', manifestDigest);
        response.end(request.method === 'HEAD' ? undefined : manifest);
      };
      expect((await get()).descriptor.mediaType).toBe(mediaTypes.ociManifest);
      expect((await head()).mediaType).toBe(mediaTypes.ociManifest);
    },
  );

  it('of schema 1 is taken with and without its signature', async () => {
    const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    const content = Buffer.from('{"schemaVersion":1,"name":"a"}');
    upstream.handler = (request, response) => sendManifest(request, response, { content, type });
    expect((await get()).descriptor.mediaType).toBe(type);
  });

  it.each<[string, Parameters<typeof sendManifest>[2], string]>([
    ['another digest in the header', { digest: digestOfText('other') }, 'has not the digest'],
    ['no digest in the header', { digest: 'sha256:x' as typeof manifestDigest }, 'none that can be verified'],
    [
      'a page of HTML',
      { content: Buffer.from('<html>Please log in</html>'), type: 'text/html' },
      'no manifest, but text/html that is not JSON',
    ],
    ['a page that calls itself a manifest', { content: Buffer.from('<html>') }, 'that is not JSON'],
    ['JSON that is no object', { content: Buffer.from('"text"') }, 'that is not JSON'],
    ['another type than it says', { type: mediaTypes.ociIndex }, 'Content-Type'],
    ['JSON that calls itself HTML', { type: 'text/html' }, 'Content-Type'],
    ['nothing', { content: Buffer.alloc(0) }, 'that is not JSON'],
  ])('is refused with %s', async (_, answer, reason) => {
    upstream.handler = (request, response) => sendManifest(request, response, answer);
    await expect(get()).rejects.toMatchObject({
      name: 'UpstreamError',
      kind: 'invalid',
      status: 200,
      upstream: 'upstream',
      endpoint: upstream.url,
      request: `GET ${upstream.url}/v2/library/app/manifests/latest`,
      message: expect.stringContaining(reason),
    });
  });

  it('that is asked for by its digest is refused as what it is when it is a page of HTML', async () => {
    upstream.handler = (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>');
    await expect(get(manifestDigest)).rejects.toMatchObject({
      kind: 'invalid',
      reason: 'no manifest, but text/html',
    });
    const content = manifest.subarray(0, -1);
    upstream.handler = (request, response) => sendManifest(request, response, { content, digest: manifestDigest });
    await expect(get(manifestDigest)).rejects.toMatchObject({ reason: expect.stringContaining('has not the digest') });
  });

  it('is refused when it is not the one that was asked for', async () => {
    const content = Buffer.from(JSON.stringify({ ...JSON.parse(manifest.toString()), annotations: {} }));
    upstream.handler = (request, response) => sendManifest(request, response, { content });
    await expect(get(manifestDigest)).rejects.toMatchObject({ kind: 'invalid' });
    await expect(head(manifestDigest)).rejects.toMatchObject({ kind: 'invalid' });
    upstream.handler = (_, response) => response.writeHead(200, { 'content-type': accept[0] }).end(content);
    await expect(get(manifestDigest)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it.each([true, false])('of 5 MiB is refused, said beforehand: %s', async (isSaid) => {
    const content = Buffer.alloc(5 * 1024 * 1024, ' ');
    upstream.handler = (_, response) => {
      const length = isSaid ? { 'content-length': content.length } : {};
      response.writeHead(200, { 'content-type': mediaTypes.ociManifest, ...length });
      response.end(content);
    };
    await expect(get()).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('of 5 MiB is refused by HEAD, and taken where the limit is higher', async () => {
    const content = Buffer.concat([manifest, Buffer.alloc(5 * 1024 * 1024, ' ')]);
    upstream.handler = (request, response) => sendManifest(request, response, { content });
    await expect(head()).rejects.toMatchObject({ kind: 'invalid' });
    const patient = clientOf([upstream], { maxManifestSize: 6 * 1024 * 1024 });
    expect((await patient.getManifest(repository, latest, accept)).content.equals(content)).toBe(true);
    await patient.close();
  });

  it('that is compressed though nobody asked is refused', async () => {
    upstream.handler = (_, response) => {
      response.writeHead(200, { 'content-type': mediaTypes.ociManifest, 'content-encoding': 'gzip' });
      response.end(gzipSync(manifest));
    };
    await expect(get()).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining('gzip') });
  });

  it('that breaks off, stalls or is dripped is unreachable', async () => {
    const hasty = clientOf([upstream], { timeouts: impatient });
    const get = () => hasty.getManifest(repository, latest, accept);
    const begin = { 'content-type': mediaTypes.ociManifest, 'content-length': manifest.length };
    upstream.handler = (_, response) => {
      response.writeHead(200, begin).write(manifest.subarray(0, 10));
      setTimeout(() => response.destroy(), 20);
    };
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable', status: 200 });
    upstream.handler = (_, response) => response.writeHead(200, begin).write(manifest.subarray(0, 10));
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable' });
    upstream.handler = (_, response) => {
      response.writeHead(200, begin);
      let sent = 0;
      const timer = setInterval(() => response.write(manifest.subarray(sent, ++sent)), 50);
      response.once('close', () => clearInterval(timer));
    };
    await expect(get()).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringMatching(/not complete|Timeout/),
    });
    await hasty.close();
  });
});

describe('HEAD', () => {
  it('says what a manifest is, and the rate limit', async () => {
    upstream.handler = (request, response) => {
      response.setHeader('ratelimit-limit', '100;w=21600').setHeader('ratelimit-remaining', '76;w=21600');
      sendManifest(request, response);
    };
    expect(client.status().endpoints[0]?.rateLimit).toBeUndefined();
    expect(await head()).toEqual({
      mediaType: mediaTypes.ociManifest,
      digest: manifestDigest,
      size: manifest.length,
    });
    expect(client.status().endpoints[0]?.rateLimit).toEqual({
      limit: 100,
      remaining: 76,
      window: 21_600,
      at: expect.any(Number),
    });
    expect(requests().map(({ method }) => method)).toEqual(['HEAD']);
  });

  it.each([400, 405, 501])('that is answered with %s becomes GET', async (status) => {
    upstream.handler = (request, response) =>
      request.method === 'HEAD' ? response.writeHead(status).end() : sendManifest(request, response);
    expect((await head()).digest).toBe(manifestDigest);
    expect(requests().map(({ method }) => method)).toEqual(['HEAD', 'GET']);
  });

  it.each(['docker-content-digest', 'content-type', 'content-length'])('without %s becomes GET', async (name) => {
    upstream.handler = (request, response) => {
      if (request.method === 'GET') return sendManifest(request, response);
      const headers = new Map<string, string | number>([
        ['docker-content-digest', manifestDigest],
        ['content-type', mediaTypes.ociManifest],
        ['content-length', manifest.length],
      ]);
      headers.delete(name);
      response.writeHead(200, Object.fromEntries(headers)).end();
    };
    expect((await head()).size).toBe(manifest.length);
    expect(requests().map(({ method }) => method)).toEqual(['HEAD', 'GET']);
  });

  it.each([
    [404, 'missing'],
    [410, 'missing'],
    [403, 'denied'],
    [429, 'throttled'],
    [500, 'unreachable'],
    [503, 'unreachable'],
    [418, 'invalid'],
    [204, 'invalid'],
    [304, 'invalid'],
  ])('that is answered with %i is %s', async (status, kind) => {
    upstream.handler = (_, response) => response.writeHead(status).end();
    await expect(head()).rejects.toMatchObject({ kind, status });
    expect(requests()).toHaveLength(1);
  });
});

describe('an error', () => {
  it('says what the upstream says, and where', async () => {
    upstream.handler = (_, response) => sendError(response, 404, 'MANIFEST_UNKNOWN');
    await expect(get()).rejects.toMatchObject({
      kind: 'missing',
      fault: { code: 'MANIFEST_UNKNOWN', message: 'says MANIFEST_UNKNOWN' },
      message: `upstream: GET ${upstream.url}/v2/library/app/manifests/latest: answers with 404 (MANIFEST_UNKNOWN: says MANIFEST_UNKNOWN)`,
    });
  });

  it('may have a body that is huge, broken or never ends', async () => {
    const hasty = clientOf([upstream], { timeouts: impatient });
    const get = () => hasty.getManifest(repository, latest, accept);
    upstream.handler = (_, response) => response.writeHead(500).end(Buffer.alloc(1024 * 1024, 'x'));
    await expect(get()).rejects.toMatchObject({ kind: 'unreachable', status: 500, fault: {} });
    upstream.handler = (_, response) => response.writeHead(404, { 'content-length': 10 }).write('{');
    await expect(get()).rejects.toMatchObject({ kind: 'missing', status: 404, fault: {} });
    await hasty.close();
  });

  it('tells who does not answer from who does not listen', async () => {
    upstream.handler = () => undefined;
    const hasty = clientOf([upstream], { timeouts: impatient });
    await expect(hasty.getManifest(repository, latest, accept)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('did not answer within 200 ms'),
    });
    await hasty.close();
    const nobody = await startLyingUpstream();
    await nobody.close();
    const alone = clientOf([nobody]);
    await expect(alone.getManifest(repository, latest, accept)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    await alone.close();
  });

  it('is the reason of the signal when that ended it', async () => {
    const reason = new Error('enough');
    upstream.handler = () => undefined;
    const controller = new AbortController();
    const asked = client.getManifest(repository, latest, accept, controller.signal);
    setTimeout(() => controller.abort(reason), 20);
    await expect(asked).rejects.toBe(reason);
    await expect(client.headManifest(repository, latest, accept, controller.signal)).rejects.toBe(reason);
    expect(client.status().endpoints[0]?.breaker).toMatchObject({ state: 'closed', failures: 0 });
  });
});

it('a connection that was closed while it was not used is no error', async () => {
  let answers = 0;
  upstream.handler = (request, response) => {
    answers += 1;
    // The first request on a connection is answered, the second finds it closed.
    if (answers === 2) request.socket.destroy();
    else sendManifest(request, response);
  };
  await get();
  await get();
  expect(answers).toBe(3);
});
