import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mediaTypes } from '../harness/content.ts';
import { requireTool } from '../harness/require-tool.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { unmountBelow } from './daemon.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let podman: Command;
let buildah: Command;

beforeAll(async () => {
  folder = await temporaryFolder('berth-podman-');
  const at = (name: string) => join(folder.path, name);
  await copyFile(requireTool('busybox'), at('busybox'));
  await writeFile(at('text'), 'built by buildah');
  await writeFile(
    at('Containerfile'),
    'FROM scratch\nCOPY busybox /bin/busybox\nCOPY text /text\nCMD ["/bin/busybox", "cat", "/text"]\n',
  );
  // Nothing of this machine's own configuration, and nothing left behind on it.
  await writeFile(at('registries.conf'), 'unqualified-search-registries = []\n');
  await writeFile(at('auth.json'), '{}');
  const env = { CONTAINERS_REGISTRIES_CONF: at('registries.conf'), REGISTRY_AUTH_FILE: at('auth.json') };
  const storage = ['--root', at('root'), '--runroot', at('run'), '--storage-driver', 'vfs'];
  const engine = [
    '--tmpdir',
    at('tmp'),
    '--cgroup-manager',
    'cgroupfs',
    '--events-backend',
    'file',
    '--runtime',
    'runc',
  ];
  podman = createCommand(requireTool('podman'), [...storage, ...engine], { env });
  buildah = createCommand(requireTool('buildah'), storage, { env });

  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  await buildah('bud', '--isolation', 'chroot', '--layers', '--tag', 'localhost/built', folder.path);
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
  if (folder === undefined) return;
  await unmountBelow(folder.path);
  await folder.remove();
});

const plain = '--tls-verify=false';
const remote = (name: string) => `${registry.host}/${name}`;

async function runs(image: string): Promise<string> {
  // The limits that podman asks for by default may be above those of this process.
  return podman(
    'run',
    '--rm',
    '--network',
    'none',
    '--ulimit',
    'nofile=1024:1024',
    '--ulimit',
    'nproc=1024:1024',
    image,
  );
}

describe('podman and buildah', () => {
  test('buildah pushes an image built from scratch', async () => {
    await buildah('push', plain, 'localhost/built', `docker://${remote('podman/built:v1')}`);
    expect(await client.tags('podman/built')).toEqual(['v1']);
  });

  test('podman pulls it, and it runs', async () => {
    await podman('pull', plain, remote('podman/built:v1'));
    expect(await runs(remote('podman/built:v1'))).toBe('built by buildah');
  });

  test.each([
    ['oci', mediaTypes.image],
    ['v2s2', mediaTypes.dockerImage],
  ])('podman pushes in the format %s, and the image runs', async (format, mediaType) => {
    const name = `podman/format:${format}`;
    await podman('push', plain, '--format', format, 'localhost/built', remote(name));
    expect((await client.getManifest('podman/format', format)).header('Content-Type')).toBe(mediaType);
    await podman('pull', plain, remote(name));
    expect(await runs(remote(name))).toBe('built by buildah');
  });

  test('podman pushes with zstd, and pulls it', async () => {
    await podman(
      'push',
      plain,
      '--format',
      'oci',
      '--compression-format',
      'zstd',
      'localhost/built',
      remote('podman/zstd:v1'),
    );
    await podman('rmi', '--force', remote('podman/built:v1'));
    await podman('pull', plain, remote('podman/zstd:v1'));
    expect(await runs(remote('podman/zstd:v1'))).toBe('built by buildah');
  });

  test('podman makes a manifest list, adds images of the registry, and pushes all of it', async () => {
    await podman('manifest', 'create', 'localhost/list');
    const images = [
      ['amd64', remote('podman/format:oci')],
      ['arm64', remote('podman/format:v2s2')],
    ] as const;
    for (const [architecture, image] of images) {
      await podman('manifest', 'add', plain, '--arch', architecture, 'localhost/list', `docker://${image}`);
    }
    await podman('manifest', 'push', '--all', plain, 'localhost/list', `docker://${remote('podman/list:v1')}`);
    const list = (await client.getManifest('podman/list', 'v1')).json() as { manifests: { digest: string }[] };
    expect(list.manifests).toHaveLength(2);
    for (const { digest } of list.manifests) {
      expect((await client.getManifest('podman/list', digest)).status).toBe(200);
    }
    await podman('pull', plain, remote('podman/list:v1'));
  });

  test('podman builds on an image of the registry', async () => {
    await writeFile(join(folder.path, 'Derived'), `FROM ${remote('podman/built:v1')}\nLABEL derived=yes\n`);
    const file = join(folder.path, 'Derived');
    await podman(
      'build',
      plain,
      '--isolation',
      'chroot',
      '--file',
      file,
      '--tag',
      remote('podman/derived:v1'),
      folder.path,
    );
    await podman('push', plain, remote('podman/derived:v1'));
    expect(await client.tags('podman/derived')).toEqual(['v1']);
  });

  test('podman searches by term, for everything, and for tags', async () => {
    const search = async (...args: string[]) =>
      (await podman('search', plain, '--format', '{{.Name}}', ...args)).split('\n').sort();
    expect(await search(remote('podman/bui'))).toEqual([remote('podman/built')]);
    expect(await search(remote(''))).toEqual(expect.arrayContaining([remote('podman/built'), remote('podman/list')]));
    const tags = await podman('search', plain, '--list-tags', remote('podman/format'));
    expect(tags).toMatch(/format +oci\n.*format +v2s2$/);
  });

  test('podman is told that an image does not exist', async () => {
    await expect(podman('pull', plain, remote('podman/missing'))).rejects.toThrow(
      /manifest unknown|name unknown|not found/,
    );
  });
});
