import { connect as connectHttp2 } from 'node:http2';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { withCounts } from '../../storage-drivers/wrappers/counting.ts';
import { withFaults } from '../../storage-drivers/wrappers/faults.ts';
import { digestOf } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import type { AppOptions } from './app.ts';
import { createRecordingLog } from './listen/testing/recording-log.ts';
import { listen } from './listen.ts';
import type { Visit } from './routes/services.ts';
import { createTestApp } from './testing/test-app.ts';

const ok = async () => ({ status: 200 });

function setUp(options: Partial<AppOptions> = {}) {
  const counted = withCounts(createInMemoryDriver());
  const faulty = withFaults(counted.driver);
  const log = createRecordingLog();
  const app = createTestApp({ registry: createStorageRegistry({ driver: faulty.driver }), log, ...options });
  async function serve() {
    const listening = await listen(app.fetch, { addr: '127.0.0.1:0', net: 'tcp', h2c: { enabled: true }, log });
    onTestFinished(() => listening.drain(0));
    return listening.url;
  }
  return { app, serve, log, ...faulty, counts: counted.counts };
}

const body = Buffer.alloc(300_000, 1);
const digest = digestOf(body);
const push = { method: 'POST', body };
const pushPath = `/v2/a/blobs/uploads/?digest=${digest}`;

describe('the app', () => {
  it('answers a fault inside with 500 and a request id, and logs it, also when the body had been read', async () => {
    const { serve, fail, log } = setUp();
    const url = await serve();
    fail({ operation: 'put', path: /_layers/ });
    const response = await fetch(url + pushPath, { ...push, headers: { 'X-Request-Id': 'mine' } });
    expect(response.status).toBe(500);
    expect(response.headers.get('X-Request-Id')).toBe('mine');
    const text = await response.text();
    expect(text).toContain('request mine');
    expect(text).not.toContain('injected');
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'error', message: 'request failed' }));
  });

  it('warns of what somebody else could not do, and of his reason', async () => {
    const cause = new Error('connection refused');
    const registry = createStorageRegistry({ driver: createInMemoryDriver() });
    const { serve, log } = setUp({
      registry: {
        ...registry,
        repository() {
          throw new RegistryError('UNAVAILABLE', { message: 'the upstream cannot be asked', cause });
        },
      },
    });
    const response = await fetch(`${await serve()}/v2/a/manifests/x`);
    expect(response.status).toBe(503);
    expect(await response.text()).not.toContain('refused');
    const error = expect.objectContaining({ cause });
    const fields = expect.objectContaining({ error });
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'request failed', fields }));
  });

  it('does not take a refusal of a body that was read for a client that left', async () => {
    const { serve, log } = setUp();
    const url = await serve();
    const response = await fetch(`${url}/v2/a/manifests/x`, { method: 'PUT', body: '{}' });
    expect(response.status).toBe(400);
    expect(log.accesses.map(({ status }) => status)).toEqual([400]);
  });

  it('stops reading when an HTTP/2 client resets a download', async () => {
    const { serve, counts } = setUp();
    const url = await serve();
    const large = Buffer.alloc(30_000_000, 2);
    const path = `/v2/a/blobs/${digestOf(large)}`;
    expect(
      (await fetch(`${url}/v2/a/blobs/uploads/?digest=${digestOf(large)}`, { method: 'POST', body: large })).status,
    ).toBe(201);

    const session = connectHttp2(url);
    onTestFinished(() => session.destroy());
    const stream = session.request({ ':path': path });
    await new Promise((resolve) => stream.once('data', resolve));
    stream.close(8);
    await new Promise((resolve) => stream.once('close', resolve));
    await fetch(`${url}/v2/`);
    expect(counts.get('read') ?? 0).toBeLessThan(large.length / 65_536 / 2);
  });

  it('builds absolute addresses from the authority of HTTP/2', async () => {
    const { serve } = setUp({ relativeUrls: false });
    const url = await serve();
    const session = connectHttp2(url);
    onTestFinished(() => session.destroy());
    const stream = session.request({ ':method': 'POST', ':path': '/v2/a/blobs/uploads/' });
    const headers = await new Promise<Record<string, unknown>>((resolve) => stream.once('response', resolve));
    expect(headers.location).toMatch(new RegExp(`^${url}/v2/a/blobs/uploads/`));
  });

  it('says of what was done under which host, whatever a client calls us', async () => {
    const visits: Visit[] = [];
    const watch: AppOptions['watch'] = (repository) => ({ repository, succeeded: (visit) => void visits.push(visit) });
    const { serve } = setUp({ watch, prefix: '/registry' });
    const url = await serve();
    for (const host of ['mirror.example:443', '1.2.3.256', 'xn--', '"},{"']) {
      const headers = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': host };
      expect((await fetch(`${url}/registry${pushPath}`, { ...push, headers })).status).toBe(201);
    }
    const hosts = ['mirror.example:443', '1.2.3.256', 'xn--', new URL(url).host];
    expect(visits.map(({ host, base }) => [host, base])).toEqual(
      hosts.map((host) => [host, `https://${host}/registry/v2/`]),
    );
  });

  it('lets its own headers win over configured ones, however those are spelt', async () => {
    const { serve } = setUp({ headers: { 'cache-control': ['no-store'], 'x-content-type-options': ['nosniff'] } });
    const url = await serve();
    await fetch(url + pushPath, push);
    const { headers } = await fetch(`${url}/v2/a/blobs/${digest}`);
    expect(headers.get('cache-control')).toBe('max-age=31536000');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('answers 503 to all but its state while it is not healthy, without saying why', async () => {
    const { app } = setUp({ health: { live: ok, ready: ok, failing: () => ({ '/secret/path': 'gone' }) } });
    for (const path of ['/', '/v2/', '/v1/search', '/v2/a/tags/list']) {
      const response = await app.request(path);
      expect(response.status).toBe(503);
      expect(await response.text()).not.toContain('secret');
    }
    expect((await app.request('/healthz')).status).toBe(200);
  });

  it.each(['/', '/healthz', '/readyz', '/v1/_ping', '/v1/search', '/v2/', '/v2/_catalog', '/v2/a/tags/list'])(
    'tells at %s which methods there are',
    async (path) => {
      const response = await setUp().app.request(path, { method: 'DELETE' });
      expect(response.status).toBe(405);
      expect(response.headers.get('Allow')).toContain('GET');
    },
  );

  it('serves below a prefix, and says so in its addresses', async () => {
    const { app } = setUp({ prefix: '/registry' });
    const started = await app.request('/registry/v2/a/blobs/uploads/', { method: 'POST' });
    expect(started.headers.get('Location')).toMatch(/^\/registry\/v2\/a\/blobs\/uploads\//);
    expect((await app.request('/v2/')).status).toBe(404);
  });

  it('settles when the last request has been answered', async () => {
    const { app, hold } = setUp();
    const { reached, release } = hold({ operation: 'put' });
    const pending = app.request(pushPath, push);
    await reached;
    let settled = false;
    const settling = app.settled().then(() => {
      settled = true;
    });
    await app.request('/v2/');
    expect(settled).toBe(false);
    release();
    await pending;
    await settling;
  });
});
