import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { addUser } from '../auth/users.ts';
import { digestOf, mediaTypes } from '../harness/content.ts';
import { createHttpClient, type HttpClient, type RequestOptions } from '../harness/http-client.ts';
import { freePort, startBerth } from '../harness/server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const cleanUp: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const task of cleanUp.splice(0).reverse()) await task();
});

async function folder(): Promise<string> {
  const { path, remove } = await temporaryFolder('berth-observe-');
  cleanUp.push(remove);
  return path;
}

/** A registry with a debug server. @param config laid over the harness's, without `http` */
async function start(prometheus: object, config: object = {}) {
  const addr = `127.0.0.1:${await freePort()}`;
  const server = await startBerth({ config: { ...config, http: { debug: { addr, prometheus } } } });
  const registry = createHttpClient(server.url);
  const debug = createHttpClient(`http://${addr}`);
  cleanUp.push(async () => {
    registry.close();
    debug.close();
    await server.stop();
  });
  return { server, registry, debug };
}

/** The samples whose line begins so, by name and labels. */
async function samples(debug: HttpClient, ...beginnings: string[]): Promise<Record<string, number>> {
  const reply = await debug.request('GET', '/metrics');
  expect([reply.status, reply.header('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  const lines = reply.text.split('\n').filter((line) => beginnings.some((beginning) => line.startsWith(beginning)));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('a push, a pull and failed logins are counted as distribution counts them', async () => {
  const usersFile = join(await folder(), 'users');
  await addUser(usersFile, 'alice', 'right');
  const { registry, debug } = await start(
    { enabled: true },
    { auth: { htpasswd: { realm: 'berth', path: usersFile } } },
  );
  const basic = (password: string) => `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`;
  const ask = async (status: number, method: string, path: string, options: RequestOptions = {}) => {
    const headers = { Authorization: basic('right'), ...options.headers };
    const reply = await registry.request(method, path, { ...options, headers });
    expect(reply.status, String(reply)).toBe(status);
    return reply;
  };

  const blob = Buffer.alloc(100_000, 'b');
  const digest = digestOf(blob);
  const started = await ask(202, 'POST', '/v2/team/app/blobs/uploads/');
  const uploading = `${started.header('location')}`;
  const patched = await ask(202, 'PATCH', uploading, { body: [blob.subarray(0, 60_000), blob.subarray(60_000)] });
  await ask(201, 'PUT', `${patched.header('location')}?digest=${digest}`);
  const descriptor = { mediaType: mediaTypes.layer, digest, size: blob.length };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.image,
    config: { ...descriptor, mediaType: mediaTypes.config },
    layers: [descriptor],
  });
  const tag = '/v2/team/app/manifests/latest';
  await ask(201, 'PUT', tag, { body: manifest, headers: { 'Content-Type': mediaTypes.image } });
  await ask(200, 'HEAD', tag);
  await ask(200, 'GET', tag);
  await ask(200, 'GET', tag);
  await ask(200, 'GET', `/v2/team/app/blobs/${digest}`);
  await ask(404, 'GET', '/v2/team/app/manifests/absent');
  await ask(200, 'GET', '/v2/team/app/tags/list');
  await ask(200, 'GET', '/v2/_catalog');
  await ask(405, 'PROPFIND', '/v2/_catalog');
  for (const path of ['/one', '/another', '/v2/team/app/unknown/x']) await ask(404, 'GET', path);

  // The fourth guess has to wait. One that was made before is known to be wrong, and need not.
  for (const wrong of ['1', '2', '3', '4', '4']) {
    await ask(401, 'GET', tag, { headers: { Authorization: basic(wrong) } });
  }

  const total = (handler: string, code: number, method: string) =>
    `registry_http_requests_total{handler="${handler}",code="${code}",method="${method}"}`;
  const counted = await samples(debug, 'registry_http_requests_total');
  // The harness has asked for /v2/ and /readyz until they answered.
  const ours = Object.entries(counted).filter(([name]) => !/handler="base"|code="[25]\d\d",method="get"/.test(name));
  expect(Object.fromEntries(ours)).toEqual({
    [total('blob_upload', 202, 'post')]: 1,
    [total('blob_upload_chunk', 202, 'patch')]: 1,
    [total('blob_upload_chunk', 201, 'put')]: 1,
    [total('manifest', 201, 'put')]: 1,
    [total('manifest', 200, 'head')]: 1,
    [total('manifest', 404, 'get')]: 1,
    [total('manifest', 401, 'get')]: 5,
    [total('catalog', 405, 'unknown')]: 1,
    [total('other', 404, 'get')]: 3,
  });
  expect(counted).toMatchObject({
    [total('manifest', 200, 'get')]: 2,
    [total('blob', 200, 'get')]: 1,
    [total('tags', 200, 'get')]: 1,
    [total('catalog', 200, 'get')]: 1,
  });

  const bytes = await samples(debug, 'registry_http_request_size_bytes_sum', 'registry_http_response_size_bytes_sum');
  expect(bytes).toMatchObject({
    'registry_http_request_size_bytes_sum{handler="blob_upload_chunk"}': blob.length,
    'registry_http_request_size_bytes_sum{handler="manifest"}': manifest.length,
    'registry_http_response_size_bytes_sum{handler="blob"}': blob.length,
  });
  expect(await samples(debug, 'registry_http_request_duration_seconds_count{handler="manifest"')).toEqual({
    'registry_http_request_duration_seconds_count{handler="manifest",method="put"}': 1,
    'registry_http_request_duration_seconds_count{handler="manifest",method="head"}': 1,
    'registry_http_request_duration_seconds_count{handler="manifest",method="get"}': 8,
  });
  for (const count of Object.values(await samples(debug, 'registry_http_in_flight_requests'))) expect(count).toBe(0);
  expect(await samples(debug, 'berth_auth')).toEqual({
    'berth_auth_failures_total{reason="password"}': 5,
    'berth_auth_failures_total{reason="access_token"}': 0,
    'berth_auth_failures_total{reason="id_token"}': 0,
    'berth_auth_failures_total{reason="login"}': 0,
    berth_auth_slowed_total: 1,
  });
});

test('the registry itself has no metrics, and the debug server nothing else', async () => {
  const { registry, debug } = await start({ enabled: true });
  for (const path of ['/metrics', '/debug/health']) expect((await registry.request('GET', path)).status).toBe(404);
  for (const path of ['/', '/v2/', '/readyz', '/debug/vars', '/debug/pprof/']) {
    expect((await debug.request('GET', path)).status).toBe(404);
  }
});

test('without metrics the debug server still says which checks fail', async () => {
  const file = join(await folder(), 'maintenance');
  const { registry, debug } = await start({}, { health: { file: [{ file, interval: '50ms' }] } });
  expect((await debug.request('GET', '/metrics')).status).toBe(404);
  const healthy = await debug.request('GET', '/debug/health');
  expect([healthy.status, healthy.json()]).toEqual([200, {}]);
  await writeFile(file, '');
  await expect.poll(async () => (await debug.request('GET', '/debug/health')).status).toBe(503);
  expect((await debug.request('GET', '/debug/health')).json()).toEqual({ [file]: 'file exists' });
  expect((await registry.request('GET', '/v2/')).status).toBe(503);
});

test('the metrics have the path that they are given', async () => {
  const { debug } = await start({ enabled: true, path: '/internal/metrics' });
  expect((await debug.request('GET', '/internal/metrics')).text).toContain('nodejs_version_info');
  expect((await debug.request('GET', '/metrics')).status).toBe(404);
});

test('both servers stop in order', async () => {
  const { server, debug } = await start({ enabled: true });
  await samples(debug, 'process_');
  await server.stop();
  expect(server.logs()).toMatch(/ stopped$/m);
  await expect(debug.request('GET', '/metrics')).rejects.toThrow(/ECONNREFUSED|ECONNRESET|socket hang up/);
});

test('an address that another process has is named with its key, and nothing is served', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  cleanUp.push(() => void other.close());
  const { port } = other.address() as { port: number };
  await expect(startBerth({ config: { http: { debug: { addr: `127.0.0.1:${port}` } } } })).rejects.toThrow(
    new RegExp(
      `ended with code 1 .*\\n(.*\\n)*berth: cannot listen on 127\\.0\\.0\\.1:${port}: another process uses it; stop that one or choose another http\\.debug\\.addr`,
    ),
  );
});
