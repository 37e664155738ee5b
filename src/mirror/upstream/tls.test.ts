import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createUpstreamClient } from './client.ts';
import { proxiesIn } from './proxies.ts';
import { startConnectProxy } from './testing/connect-proxy.ts';
import {
  accept,
  digestOfText,
  type LyingUpstream,
  latest,
  manifestDigest,
  oneManifest,
  repository,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-upstream-'));
let upstream: LyingUpstream;
let plain: LyingUpstream;
let ca = '';

beforeAll(async () => {
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=upstream', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:registry.invalid'];
  execFileSync('openssl', [...request, ...names, '-keyout', 'key.pem', '-out', 'ca.pem'], {
    cwd: folder,
    stdio: 'pipe',
  });
  ca = readFileSync(join(folder, 'ca.pem'), 'utf8');
  upstream = await startLyingUpstream(oneManifest, { key: readFileSync(join(folder, 'key.pem'), 'utf8'), cert: ca });
  plain = await startLyingUpstream();
});
afterAll(async () => {
  await Promise.all([upstream.close(), plain.close()]);
  rmSync(folder, { recursive: true });
});

const clientOf = (authority?: string) =>
  createUpstreamClient({
    name: 'upstream',
    endpoints: [{ url: upstream.url, ca: authority }],
    credentials: { username: 'alice', password: 'secret' },
    userAgent: 'berth-test',
  });

describe('TLS', () => {
  it('is with a certificate that is trusted only', async () => {
    const trusting = clientOf(ca);
    expect((await trusting.getManifest(repository, latest, accept)).descriptor.digest).toBe(manifestDigest);
    await trusting.close();
    const strict = clientOf();
    await expect(strict.getManifest(repository, latest, accept)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('self-signed'),
    });
    expect(strict.status().endpoints[0]?.breaker.failures).toBe(1);
    await strict.close();
  });

  it('goes through a proxy to the upstream', async () => {
    const proxy = await startConnectProxy(upstream.port);
    const through = (authority?: string) =>
      createUpstreamClient({
        name: 'upstream',
        endpoints: [{ url: 'https://registry.invalid', ca: authority }],
        userAgent: 'berth-test',
        proxies: proxiesIn({ HTTPS_PROXY: proxy.host }),
      });
    const trusting = through(ca);
    expect((await trusting.getManifest(repository, latest, accept)).descriptor.digest).toBe(manifestDigest);
    expect(proxy.tunnels).toEqual(['registry.invalid:443']);
    await trusting.close();
    const strict = through();
    await expect(strict.getManifest(repository, latest, accept)).rejects.toMatchObject({ kind: 'unreachable' });
    await strict.close();
    await proxy.close();
  });

  it('is not left by a redirect, nor for a token', async () => {
    const client = clientOf(ca);
    upstream.handler = (_, response) => response.writeHead(302, { location: `${plain.url}/blob` }).end();
    await expect(client.openBlob(repository, digestOfText('x'))).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('a redirect from TLS'),
    });
    upstream.handler = (_, response) =>
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${plain.url}/token"` }).end();
    await expect(client.openBlob(repository, digestOfText('x'))).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('has no TLS'),
    });
    expect(plain.requests).toEqual([]);
    await client.close();
  });
});
