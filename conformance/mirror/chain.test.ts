import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage } from '../clients/busybox-image.ts';
import { startDocker } from '../clients/docker-daemon.ts';
import { noiseImage } from '../clients/raw/artifact.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* A mirror before a mirror before a registry, as a site has one in each building and one at the door. */

let folder: TemporaryFolder;
let origin: CountedUpstream;
let door: Server;
let building: Server;
let client: RegistryClient;
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder('berth-chain-');
  origin = await startUpstream();
  await writeOciLayout(at('layout'), { image: await busyboxImage('run through two mirrors') });
  for (const name of ['library/hello:1', 'team/app:1']) await origin.push(`oci:${at('layout')}:image`, name);
  origin.requests.length = 0;
  door = await startBerth({
    config: {
      mirror: {
        upstreams: [
          { name: 'docker.io', default: true, revalidate: '0s', endpoints: [origin.url] },
          { name: 'quay.io', revalidate: '0s', endpoints: [origin.url] },
        ],
      },
    },
  });
  building = await startBerth({
    config: {
      mirror: {
        upstreams: [
          { name: 'docker.io', default: true, revalidate: '0s', endpoints: [door.url, origin.url] },
          { name: 'quay.io', revalidate: '0s', endpoints: [`${door.url}/v2/quay.io`, origin.url] },
        ],
      },
    },
  });
  client = createRegistryClient(building.url);
});
afterAll(async () => {
  client?.close();
  await building?.stop();
  await door?.stop();
  await origin?.stop();
  await folder?.remove();
});

async function pullAndRun(): Promise<void> {
  const docker = await startDocker({ mirror: building.url });
  try {
    await docker.docker('pull', 'hello:1');
    expect(await docker.docker('run', '--rm', '--network', 'none', 'hello:1')).toBe('run through two mirrors');
  } finally {
    await docker.stop();
  }
}

async function copyWithSkopeo(name: string, to: string): Promise<void> {
  const args = ['--insecure-policy', 'copy', '--src-tls-verify=false', `docker://${building.host}/${name}`];
  const copied = await run(requireTool('skopeo'), [...args, `oci:${at(to)}:image`]);
  expect(copied.code, copied.stderr).toBe(0);
}

describe('a chain of mirrors', () => {
  test('fetches each blob from the origin once, for whoever asks where', async () => {
    await pullAndRun();
    await copyWithSkopeo('docker.io/library/hello:1', 'first');
    await copyWithSkopeo('quay.io/team/app:1', 'second');
    const blobs = origin.requests.filter((request) => /^GET .*\/blobs\//.test(request));
    expect(blobs.filter((request) => request.includes('library/hello'))).toHaveLength(2);
    expect(new Set(blobs).size).toBe(blobs.length);
    // It came through the door: what is in the building is there, too.
    const kept = createRegistryClient(door.url);
    for (const name of ['docker.io/library/hello', 'quay.io/team/app']) expect(await kept.tags(name)).toEqual(['1']);
    kept.close();
  });

  test('serves a fresh client when the origin is gone', async () => {
    await origin.down();
    await pullAndRun();
    await copyWithSkopeo('quay.io/team/app:1', 'third');
  });

  test('serves it when the door is gone as well, and says that nobody could be asked', async () => {
    await door.kill();
    await pullAndRun();
    await copyWithSkopeo('quay.io/team/app:1', 'fourth');
    const manifest = await client.getManifest('quay.io/team/app', '1');
    const digest = manifest.header('docker-content-digest');
    const lists = ['tags/list', 'tags/list?n=1', `referrers/${digest}`];
    const others = await Promise.all(lists.map((list) => client.expect(200, 'GET', `/v2/quay.io/team/app/${list}`)));
    for (const reply of [manifest, ...others]) {
      expect(reply.header('warning'), String(reply)).toContain('quay.io could not be asked');
    }
  });

  test('asks the origin when the door is gone', async () => {
    await origin.up();
    const fresh = createRegistryClient(origin.registry.url);
    const image = noiseImage('new behind the door');
    await fresh.push('team/new', image, '1');
    fresh.close();
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await client.getManifest('quay.io/team/new', '1')).status === 200) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await copyWithSkopeo('quay.io/team/new:1', 'fifth');
  });
});
