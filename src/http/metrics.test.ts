import { request } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import type { TokenService } from '../auth/builtin/service.ts';
import { digestOf } from '../oci/digest.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import type { AppOptions } from './app.ts';
import { createRecordingLog } from './listen/testing/recording-log.ts';
import { listen } from './listen.ts';
import type { RequestEnd } from './metrics.ts';
import { createTestApp } from './testing/test-app.ts';

const ok = async () => ({ status: 200 });
const digest = digestOf(Buffer.from('blob'));
const noTokens: TokenService = { issue: () => Promise.reject(new Error('none')), keySet: () => ({ keys: [] }) };

function setUp(options: Partial<AppOptions> = {}) {
  const log = createRecordingLog();
  const begun: string[] = [];
  const ends: RequestEnd[] = [];
  const app = createTestApp({
    registry: createStorageRegistry({ driver: createInMemoryDriver() }),
    tokens: noTokens,
    log,
    metrics: {
      begin(handler, method) {
        begun.push(`${method} ${handler}`);
        return (end) => void ends.push(end);
      },
    },
    ...options,
  });
  async function serve() {
    const listening = await listen(app.fetch, { addr: '127.0.0.1:0', log });
    onTestFinished(() => listening.drain(0));
    return listening.url;
  }
  return { app, serve, begun, ends };
}

it.each([
  ['GET', '/v2/', 'base'],
  ['GET', '/v2', 'base'],
  ['GET', '/v2/_catalog?n=3', 'catalog'],
  ['HEAD', '/v2/a/manifests/b/manifests/latest', 'manifest'],
  ['GET', '/v2/a/b/tags/list', 'tags'],
  ['DELETE', `/v2/a/blobs/${digest}`, 'blob'],
  ['POST', '/v2/a/blobs/uploads/', 'blob_upload'],
  ['PATCH', '/v2/a/blobs/uploads/some-id', 'blob_upload_chunk'],
  ['GET', `/v2/a/referrers/${digest}`, 'referrers'],
  ['GET', '/v1/search?q=a', 'search'],
  ['GET', '/v1/_ping', 'search'],
  ['POST', '/auth/token', 'token'],
  ['GET', '/auth/jwks.json', 'other'],
  ['GET', '/', 'other'],
  ['GET', '/healthz', 'other'],
  ['GET', '/v2/a/b/c', 'other'],
  ['GET', '/v2/%zz', 'other'],
  ['GET', '/wp-login.php', 'other'],
  ['PROPFIND', '/v2/a/tags/list', 'tags'],
])('%s %s is counted as %s', async (method, path, handler) => {
  const { app, begun, ends } = setUp();
  await app.request(path, { method });
  expect([begun, ends.length]).toEqual([[`${method} ${handler}`], 1]);
});

it('a path below a prefix is counted alike', async () => {
  const { app, begun } = setUp({ prefix: '/registry' });
  await app.request('/registry/v2/a/tags/list');
  await app.request('/v2/a/tags/list');
  expect(begun).toEqual(['GET tags', 'GET other']);
});

it('a request is measured with its status and the bytes of both bodies, refused or not', async () => {
  const { serve, ends } = setUp();
  const url = await serve();
  const body = Buffer.alloc(300_000, 1);
  await fetch(`${url}/v2/a/blobs/uploads/?digest=${digestOf(body)}`, { method: 'POST', body });
  await (await fetch(`${url}/v2/a/blobs/${digestOf(body)}`)).arrayBuffer();
  const refusal = await (await fetch(`${url}/v2/a/manifests/x`, { method: 'PUT', body: '{}' })).arrayBuffer();
  await fetch(`${url}/v2/a/blobs/${digestOf(body)}`, { method: 'HEAD' });
  expect(ends).toEqual([
    { status: 201, bytesReceived: 300_000, bytesSent: 0 },
    { status: 200, bytesReceived: 0, bytesSent: 300_000 },
    { status: 400, bytesReceived: 2, bytesSent: refusal.byteLength },
    { status: 200, bytesReceived: 0, bytesSent: 0 },
  ]);
});

it('a body without a length is measured by what came', async () => {
  const { serve, ends } = setUp();
  const url = await serve();
  const started = await fetch(`${url}/v2/a/blobs/uploads/`, { method: 'POST' });
  await new Promise<void>((resolve) => {
    const sent = request(`${url}${started.headers.get('location')}`, { method: 'PATCH' }, (response) => {
      response.resume().once('end', resolve);
    });
    sent.write('one');
    sent.end('two');
  });
  expect(ends.at(-1)).toEqual({ status: 202, bytesReceived: 6, bytesSent: 0 });
});

it('what answers 503 because the registry is not healthy is measured too', async () => {
  const { app, begun, ends } = setUp({ health: { live: ok, ready: ok, failing: () => ({ a: 'b' }) } });
  await app.request('/v2/_catalog');
  expect(begun).toEqual(['GET catalog']);
  expect(ends.map(({ status }) => status)).toEqual([503]);
});

it('without metrics requests are answered alike', async () => {
  const { app } = setUp({ metrics: undefined });
  expect((await app.request('/v2/')).status).toBe(200);
});
