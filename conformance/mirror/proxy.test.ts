import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { passwords, startPrivateRegistry } from '../auth/private-registry.ts';
import { busyboxImage } from '../clients/busybox-image.ts';
import { startDocker } from '../clients/docker-daemon.ts';
import { type Artifact, listOf, noiseImage } from '../clients/raw/artifact.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { type Server, startBerth, startDistribution } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* The section `proxy` of distribution, on a volume that goes from distribution to berth and back. */

let folder: TemporaryFolder;
let upstream: CountedUpstream;
let origin: RegistryClient;
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder('berth-proxy-');
  upstream = await startUpstream();
  origin = createRegistryClient(upstream.registry.url);
});
afterAll(async () => {
  origin?.close();
  await upstream?.stop();
  await folder?.remove();
});

/** As people have it in their files. */
const config = () => `version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
  delete:
    enabled: true
http:
  addr: :5000
proxy:
  remoteurl: ${upstream.url}
`;

async function expectPulled(client: RegistryClient, name: string, tag: string, artifact: Artifact): Promise<void> {
  const { manifest, children, blobs } = artifact;
  for (const reference of [tag, manifest.digest]) {
    const reply = await client.getManifest(name, reference);
    expect(reply.status, String(reply)).toBe(200);
    expect(reply.header('docker-content-digest')).toBe(manifest.digest);
    expect(reply.header('content-type')).toBe(manifest.mediaType);
    expect(reply.body.equals(manifest.bytes)).toBe(true);
  }
  for (const { digest, bytes } of blobs) expect((await client.getBlob(name, digest)).body.equals(bytes)).toBe(true);
  for (const child of children) await expectPulled(client, name, child.manifest.digest, child);
}

/** Runs a registry on the volume. */
async function on(program: 'berth' | 'distribution', use: (client: RegistryClient, server: Server) => Promise<void>) {
  const options = { config: config(), dataDir: at('volume'), storage: 'filesystem' } as const;
  const server = await (program === 'berth' ? startBerth(options) : startDistribution(options));
  const client = createRegistryClient(server.url);
  try {
    await use(client, server);
  } finally {
    client.close();
    await server.stop();
  }
}

/** Until something has been written that nobody waits for. */
const eventually = { timeout: 30_000, interval: 200 };

describe('a volume of distribution in proxy mode', () => {
  const first = noiseImage('pulled through distribution');
  const list = listOf([noiseImage('list 0'), noiseImage('list 1', { architecture: 'arm64' })]);
  const second = noiseImage('pulled through berth');
  const refused = [
    ['POST', '/v2/team/app/blobs/uploads/'],
    ['PUT', '/v2/team/app/manifests/3'],
    ['PUT', '/v2/new/manifests/3'],
    ['DELETE', `/v2/team/app/manifests/${second.manifest.digest}`],
    ['DELETE', `/v2/team/app/blobs/${second.blobs[0]?.digest}`],
  ] as const;
  const expectRefused = async (client: RegistryClient, requests: readonly (readonly [string, string])[]) => {
    const { bytes, mediaType } = second.manifest;
    for (const [method, target] of requests) {
      const headers = { 'Content-Type': mediaType };
      const reply = await client.request(method, target, method === 'PUT' ? { headers, body: bytes } : { headers });
      expect([reply.status, reply.text], String(reply)).toEqual([405, expect.stringContaining('"UNSUPPORTED"')]);
    }
  };
  const state = () => readFile(at('volume/scheduler-state.json'), 'utf8');

  beforeAll(async () => {
    await origin.push('team/app', first, '1');
    await origin.push('team/app', second, '2');
    await origin.push('library/list', list, 'latest');
  });

  test('is filled by distribution', async () => {
    await on('distribution', async (client) => {
      await expectPulled(client, 'team/app', '1', first);
      await expectPulled(client, 'library/list', 'latest', list);
      await expect.poll(() => existsSync(at('volume/scheduler-state.json')), eventually).toBe(true);
    });
  });

  test('is served by berth with the same file, without the upstream', async () => {
    const before = await state();
    await upstream.down();
    await on('berth', async (client) => {
      await expectPulled(client, 'team/app', '1', first);
      await expectPulled(client, 'library/list', 'latest', list);
      expect((await client.getManifest('team/app', '1')).header('warning')).toMatch(
        /^110 berth "127\.0\.0\.1:\d+ could/,
      );
      expect(await client.catalog()).toEqual(['library/list', 'team/app']);
      expect(await client.tags('team/app')).toEqual(['1']);
      expect((await client.getManifest('team/app', '2')).status).toBe(503);
      // The registry that a client means is that one, whatever it calls it.
      expect((await client.request('GET', '/v2/team/app/manifests/1?ns=registry.example')).status).toBe(200);
    });
    await upstream.up();
    expect(await state()).toBe(before);
  });

  test('takes from berth what is pulled next, and nothing that is pushed', async () => {
    await on('berth', async (client) => {
      await expectPulled(client, 'team/app', '2', second);
      expect((await client.tags('team/app')).sort()).toEqual(['1', '2']);
      upstream.requests.length = 0;
      await expectPulled(client, 'team/app', '2', second);
      // As distribution: each tag is asked for each time, and no content again.
      expect(upstream.requests).toEqual(['HEAD /v2/team/app/manifests/2']);
      await expectRefused(client, [
        ...refused,
        ['POST', `/v2/team/new/blobs/uploads/?mount=${second.blobs[0]?.digest}&from=team/app`],
        ['PATCH', '/v2/team/app/blobs/uploads/x'],
        ['DELETE', '/v2/team/app/manifests/2'],
      ]);
    });
  });

  test('is served by distribution again, with what berth has added', async () => {
    await on('distribution', async (client) => {
      await expectRefused(client, refused);
      // It does not start without its upstream.
      await upstream.down();
      await expectPulled(client, 'team/app', '1', first);
      await expectPulled(client, 'team/app', '2', second);
      await expectPulled(client, 'library/list', 'latest', list);
    });
    await upstream.up();
  });
});

test('a docker daemon pulls through it, and goes on when the upstream is gone', async () => {
  await writeOciLayout(at('layout'), { image: await busyboxImage('run through a proxy') });
  await upstream.push(`oci:${at('layout')}:image`, 'library/hello:1');
  const options = { config: config(), dataDir: at('docker'), storage: 'filesystem' } as const;
  const proxy = await startBerth(options);
  for (const isThere of [true, false]) {
    if (!isThere) await upstream.down();
    const docker = await startDocker({ mirror: proxy.url });
    await docker.docker('pull', 'hello:1');
    expect(await docker.docker('run', '--rm', '--network', 'none', 'hello:1')).toBe('run through a proxy');
    await docker.stop();
  }
  await proxy.stop();
  await upstream.up();
});

test.each(['an account', 'a credential helper'])('a private upstream is logged in to with %s', async (how) => {
  const registry = await startPrivateRegistry();
  const image = noiseImage(how);
  await registry.push('writer', 'team/app', image, 'v1');
  const command = at('docker-credential-test');
  await writeFile(
    command,
    `#!/bin/sh\nserver=$(cat)\necho "$1 $server" >> ${at('asked')}\necho '{"Username":"reader","Secret":"${passwords.reader}"}'\n`,
    { mode: 0o755 },
  );
  const account: Record<string, string> =
    how === 'an account'
      ? { REGISTRY_PROXY_USERNAME: 'reader', REGISTRY_PROXY_PASSWORD: passwords.reader }
      : { REGISTRY_PROXY_EXEC_COMMAND: command, REGISTRY_PROXY_EXEC_LIFETIME: '1h' };
  const options = {
    config: { log: { level: 'debug' }, proxy: { remoteurl: registry.server.url } },
    env: account,
    dataDir: at(how.replaceAll(' ', '-')),
  };
  const proxy = await startBerth(options);
  const client = createRegistryClient(proxy.url);
  await expectPulled(client, 'team/app', 'v1', image);
  if (how === 'a credential helper') {
    expect(await readFile(at('asked'), 'utf8')).toBe(`get ${registry.server.host}\n`);
  }
  expect(proxy.logs()).not.toContain(passwords.reader);
  client.close();
  await proxy.stop();

  if (how === 'a credential helper') {
    await rm(command);
    const without = await startBerth(options);
    const other = createRegistryClient(without.url);
    const kept = await other.getManifest('team/app', 'v1');
    expect([kept.status, kept.header('warning')]).toEqual([200, expect.stringMatching(/^110 berth /)]);
    expect((await other.getManifest('team/app', 'v2')).status).toBe(404);
    await expect.poll(() => without.logs(), eventually).toMatch(/WARN .*the credential helper .* failed with ENOENT/);
    other.close();
    await without.stop();
  }
  await registry.stop();
});
