import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { busyboxImage } from '../clients/busybox-image.ts';
import { createCommand } from '../clients/command.ts';
import { startContainerd } from '../clients/containerd-daemon.ts';
import { unmountBelow } from '../clients/daemon.ts';
import { startDocker } from '../clients/docker-daemon.ts';
import { useGoTool } from '../clients/go-tool.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { berthCommand, type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* What `berth mirror setup` prints is written where it says, and real clients pull by it. */

const buildkit = useGoTool('buildkit-pull');
let folder: TemporaryFolder;
let upstream: CountedUpstream;
let plain: Server;
let secure: Server;
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder('berth-setup-');
  upstream = await startUpstream();
  await writeOciLayout(at('layout'), { image: await busyboxImage('by the printed configuration') });
  await upstream.push(`oci:${at('layout')}:image`, 'library/hello:1');
  await upstream.push(`oci:${at('layout')}:image`, 'team/app:1');
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-keyout', at('key.pem'), '-out', at('cert.pem')];
  await createCommand(requireTool('openssl'))(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...name, ...files],
  );
  const endpoints = [upstream.url];
  const mirror = {
    upstreams: [
      { name: 'docker.io', default: true, endpoints },
      { name: 'quay.io', endpoints },
      { name: 'registry.example:5000', prefix: 'example', endpoints },
    ],
  };
  plain = await startBerth({ config: { mirror } });
  secure = await startBerth({
    config: { mirror, http: { tls: { certificate: at('cert.pem'), key: at('key.pem') } } },
  });
});
afterAll(async () => {
  await plain?.stop();
  await secure?.stop();
  await upstream?.stop();
  if (folder === undefined) return;
  await unmountBelow(folder.path);
  await folder.remove();
});

async function setup(client: string, server: Server, ...args: string[]) {
  const [command, ...first] = berthCommand();
  return run(command, [...first, 'mirror', 'setup', client, '--config', server.configFile, ...args]);
}

/** Writes each file that is printed below a folder, as one would at the top. @returns their paths, as printed */
async function write(printed: string, top: string): Promise<string[]> {
  const parts = printed.split(/^# ---- (.+)$/m).slice(1);
  const paths = parts.filter((_, index) => index % 2 === 0);
  for (const [index, path] of paths.entries()) {
    await mkdir(dirname(join(top, path)), { recursive: true });
    await writeFile(join(top, path), parts[2 * index + 1] ?? '');
  }
  return paths;
}

const images = ['docker.io/library/hello:1', 'quay.io/team/app:1', 'registry.example:5000/team/app:1'];

test('docker pulls from Docker Hub, and from others by name', async () => {
  const { code, stdout, stderr } = await setup('docker', plain);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('/etc/docker/daemon.json');
  const docker = await startDocker({ config: stdout });
  try {
    await docker.docker('pull', 'hello:1');
    expect(await docker.docker('run', '--rm', '--network', 'none', 'hello:1')).toBe('by the printed configuration');
    await docker.docker('pull', `${plain.host}/quay.io/team/app:1`);
    expect(await docker.docker('info')).toMatch(new RegExp(`Registry Mirrors:\\s+${plain.url}/`));
  } finally {
    await docker.stop();
  }
});

describe.each(['without TLS', 'with TLS'])('%s', (kind) => {
  const server = () => (kind === 'with TLS' ? secure : plain);
  const authority = () => (kind === 'with TLS' ? ['--ca', at('cert.pem')] : []);

  test('containerd pulls', async () => {
    const top = at(`containerd ${kind}`.replaceAll(' ', '-'));
    const { stdout, stderr } = await setup('containerd', server(), ...authority());
    expect(await write(stdout, top), stderr).toHaveLength(3);
    const containerd = await startContainerd(join(top, 'containerd'));
    const ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth']);
    for (const image of images) {
      await ctr(
        'images',
        'pull',
        '--hosts-dir',
        join(top, '/etc/containerd/certs.d'),
        '--snapshotter',
        'native',
        image,
      );
    }
    expect((await ctr('images', 'list', '--quiet')).split('\n').sort()).toEqual(images);
    await containerd.stop();
  });

  test('buildkit pulls', async () => {
    const top = at(`buildkit ${kind}`.replaceAll(' ', '-'));
    const { stdout } = await setup('buildkit', server(), ...authority());
    const [file = ''] = await write(stdout, top);
    for (const image of images) {
      const pulled = await run(buildkit.path, [join(top, file), image]);
      expect(pulled.code, pulled.stderr).toBe(0);
      expect(pulled.stdout.match(/sha256:/g)).toHaveLength(2);
    }
  });
});

test('containerd and k3s ask a server below a path', async () => {
  const mirror = { upstreams: [{ name: 'docker.io', endpoints: [upstream.url] }] };
  const below = await startBerth({ config: { mirror, http: { prefix: '/below/' } } });
  const top = at('below');
  const { stdout } = await setup('containerd', below);
  await write(stdout, top);
  const containerd = await startContainerd(join(top, 'containerd'));
  const ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth']);
  const hosts = ['--hosts-dir', join(top, '/etc/containerd/certs.d')];
  await ctr('images', 'pull', ...hosts, '--snapshotter', 'native', 'docker.io/library/hello:1');
  await containerd.stop();
  expect((await setup('k3s', below)).stdout).toContain(`- ${below.url}/below/v2\n`);
  await below.stop();
});

test('containerd asks a registry without TLS itself when the mirror does not answer', async () => {
  const { host } = new URL(upstream.url);
  const mirror = { upstreams: [{ name: host, prefix: 'own', endpoints: ['http://127.0.0.1:1', upstream.url] }] };
  const server = await startBerth({ config: { mirror } });
  const { stdout } = await setup('containerd', server);
  await server.stop();
  const top = at('origin');
  // With TLS or without it: on one machine containerd tries both.
  expect(stdout).toContain(`server = "${upstream.url}"\n`);
  await write(stdout, top);
  const containerd = await startContainerd(join(top, 'containerd'));
  const ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth']);
  const hosts = ['--hosts-dir', join(top, '/etc/containerd/certs.d')];
  await ctr('images', 'pull', ...hosts, '--snapshotter', 'native', `${host}/team/app:1`);
  await containerd.stop();
});

test('podman pulls, and skopeo', async () => {
  const top = at('podman');
  const { stdout } = await setup('podman', plain);
  const [file = ''] = await write(stdout, top);
  const env = { CONTAINERS_REGISTRIES_CONF: join(top, file) };
  const storage = ['--root', at('podman-root'), '--runroot', at('podman-run'), '--storage-driver', 'vfs'];
  for (const image of images) {
    const pulled = await run(requireTool('podman'), [...storage, 'pull', image], { env });
    expect(pulled.code, pulled.stderr).toBe(0);
    const found = await run(requireTool('skopeo'), [
      '--registries-conf',
      join(top, file),
      'inspect',
      '--no-tags',
      `docker://${image}`,
    ]);
    expect(found.code, found.stderr).toBe(0);
  }
});

test('k3s has each registry with its endpoint, in the form that its documentation has', async () => {
  const { stdout } = await setup('k3s', secure, '--ca', '/etc/mirror.pem');
  await write(stdout, at('k3s'));
  const file = parse(await readFile(at('k3s/etc/rancher/k3s/registries.yaml'), 'utf8'));
  const endpoint = [secure.url];
  expect(file).toEqual({
    mirrors: { 'docker.io': { endpoint }, 'quay.io': { endpoint }, 'registry.example:5000': { endpoint } },
    configs: { [secure.host]: { tls: { ca_file: '/etc/mirror.pem' } } },
  });
});

test('as a script it writes the same, and nothing over what is there', async () => {
  const printed = await setup('containerd', plain);
  const paths = await write(printed.stdout, at('printed'));
  const { stdout } = await setup('containerd', plain, '--shell');
  const script = stdout.replaceAll("'/etc/", `'${at('script')}/etc/`);
  const first = await run('/bin/sh', [], { input: script });
  expect(first.code, first.stderr).toBe(0);
  for (const path of paths) {
    const text = async (top: string) => (await readFile(join(at(top), path), 'utf8')).trim();
    expect(await text('script')).toBe(await text('printed'));
  }
  expect((await run('/bin/sh', [], { input: script })).code).not.toBe(0);
});

describe('what it cannot know or do it says', () => {
  async function refusal(config: object, client: string, ...args: string[]): Promise<string> {
    const path = at('config.json');
    await writeFile(path, JSON.stringify({ version: '0.1', storage: { inmemory: {} }, ...config }));
    const { code, stderr } = await setup(client, { configFile: path } as Server, ...args);
    expect(code).toBe(1);
    return stderr;
  }
  const mirror = { upstreams: [{ name: 'docker.io' }] };

  test('the address, unless it is in the configuration', async () => {
    expect(await refusal({ mirror }, 'podman')).toContain('give --url');
  });

  test('which registry Docker means', async () => {
    expect(await refusal({ mirror }, 'docker', '--url', 'http://mirror:5000')).toContain('default: true');
  });

  test('a path before the names', async () => {
    expect(await refusal({ mirror }, 'podman', '--url', 'http://mirror:5000/below')).toContain('below a path');
  });

  test('that there is no mirror', async () => {
    expect(await refusal({}, 'k3s', '--url', 'http://mirror:5000')).toContain('neither mirror.upstreams nor');
  });
});
