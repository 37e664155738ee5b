import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage } from '../clients/busybox-image.ts';
import { createCommand } from '../clients/command.ts';
import { startContainerd } from '../clients/containerd-daemon.ts';
import { unmountBelow } from '../clients/daemon.ts';
import { startDocker } from '../clients/docker-daemon.ts';
import { useGoTool } from '../clients/go-tool.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* Real clients pull through a mirror, and go on to do so when the upstream is gone. */

const crane = useGoTool('crane');
let folder: TemporaryFolder;
let upstream: CountedUpstream;
let mirror: Server;
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder('berth-mirror-clients-');
  upstream = await startUpstream();
  await writeOciLayout(at('layout'), { image: await busyboxImage('run through a mirror') });
  await upstream.push(`oci:${at('layout')}:image`, 'library/hello:1');
  await upstream.push(`oci:${at('layout')}:image`, 'team/app:1');
  upstream.requests.length = 0;
  mirror = await startBerth({
    config: {
      mirror: { upstreams: [{ name: 'docker.io', endpoints: [upstream.url], default: true, revalidate: '0s' }] },
    },
  });
});
afterAll(async () => {
  await mirror?.stop();
  await upstream?.stop();
  if (folder === undefined) return;
  await unmountBelow(folder.path);
  await folder.remove();
});

async function pullAndRunWithDocker(): Promise<void> {
  const docker = await startDocker({ mirror: mirror.url });
  try {
    await docker.docker('pull', 'hello:1');
    expect(await docker.docker('run', '--rm', '--network', 'none', 'hello:1')).toBe('run through a mirror');
  } finally {
    await docker.stop();
  }
}

describe.each(['while the upstream is there', 'when the upstream is gone'])('%s', (when) => {
  beforeAll(async () => {
    if (when === 'when the upstream is gone') await upstream.down();
  });

  test('docker with registry-mirrors pulls and runs an official image', async () => {
    await pullAndRunWithDocker();
    if (when === 'when the upstream is gone') return;
    const blobs = upstream.requests.filter((request) => /^GET .*\/blobs\//.test(request));
    expect(new Set(blobs).size).toBe(blobs.length);
  });

  test('containerd with hosts.toml and a namespace', async () => {
    const place = at(`containerd ${when}`.replaceAll(' ', '-'));
    await mkdir(join(place, 'certs.d/docker.io'), { recursive: true });
    await writeFile(
      join(place, 'certs.d/docker.io/hosts.toml'),
      `server = "http://127.0.0.1:1"\n[host."${mirror.url}"]\n  capabilities = ["pull", "resolve"]\n`,
    );
    const containerd = await startContainerd(join(place, 'containerd'));
    const ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth']);
    await ctr(
      'images',
      'pull',
      '--hosts-dir',
      join(place, 'certs.d'),
      '--snapshotter',
      'native',
      'docker.io/library/hello:1',
    );
    expect(await ctr('images', 'list', '--quiet')).toContain('docker.io/library/hello:1');
    await containerd.stop();
  });

  test('podman with a mirror in registries.conf', async () => {
    const conf = at('registries.conf');
    await writeFile(
      conf,
      `[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "${mirror.host}/docker.io"\ninsecure = true\n`,
    );
    const storage = ['--root', at(`podman-${when.length}`), '--runroot', at(`podman-run-${when.length}`)];
    const pulled = await run(
      requireTool('podman'),
      [...storage, '--storage-driver', 'vfs', 'pull', 'docker.io/library/hello:1'],
      { env: { CONTAINERS_REGISTRIES_CONF: conf } },
    );
    expect(pulled.code, pulled.stderr).toBe(0);
  });

  test.each(['docker.io/team/app:1', 'team/app:1', 'library/hello:1'])('skopeo and crane: %s', async (name) => {
    const target = at(`copied ${when} ${name}`.replaceAll(/[^a-z]/g, '-'));
    const copied = await run(requireTool('skopeo'), [
      '--insecure-policy',
      'copy',
      '--src-tls-verify=false',
      `docker://${mirror.host}/${name}`,
      `oci:${target}:image`,
    ]);
    expect(copied.code, copied.stderr).toBe(0);
    expect((await run(crane.path, ['validate', '--remote', `${mirror.host}/${name}`])).code).toBe(0);
  });
});

test('a push under the name of an upstream is refused, and says where to push', async () => {
  const pushed = await run(requireTool('skopeo'), [
    '--insecure-policy',
    'copy',
    '--dest-tls-verify=false',
    `oci:${at('layout')}:image`,
    `docker://${mirror.host}/docker.io/library/hello:2`,
  ]);
  expect(pushed.code).not.toBe(0);
  expect(pushed.stderr).toMatch(/is a mirror of docker\.io: push there|Method Not Allowed|405/);
});
