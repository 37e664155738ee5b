import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireTool } from '../harness/require-tool.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { busyboxImage } from './busybox-image.ts';
import { type Command, createCommand } from './command.ts';
import { type Containerd, startContainerd } from './containerd-daemon.ts';
import { unmountBelow } from './daemon.ts';
import { type Artifact, listOf } from './raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let containerd: Containerd;
let ctr: Command;
let image: Artifact;

beforeAll(async () => {
  folder = await temporaryFolder('berth-containerd-');
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  image = await busyboxImage('run by containerd');
  await client.push('containerd/image', image, 'v1');
  containerd = await startContainerd(folder.path);
  ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth']);
});

afterAll(async () => {
  client?.close();
  await containerd?.stop();
  await registry?.stop();
  if (folder === undefined) return;
  await unmountBelow(folder.path);
  await folder.remove();
});

const plain = '--plain-http';
// Copies files instead of mounting them: runs on every file system.
const snapshotter = ['--snapshotter', 'native'];

describe('containerd', () => {
  test('pulls an image by tag and by digest, and runs it', async () => {
    for (const name of ['containerd/image:v1', `containerd/image@${image.manifest.digest}`]) {
      const reference = `${registry.host}/${name}`;
      await ctr('images', 'pull', plain, ...snapshotter, reference);
      // runc keeps the containers of all daemons of a machine in one place.
      const container = `berth-${randomUUID()}`;
      expect(await ctr('run', '--rm', ...snapshotter, reference, container)).toBe('run by containerd');
    }
  });

  test('pushes to another repository', async () => {
    await ctr('images', 'push', plain, `${registry.host}/containerd/pushed:v1`, `${registry.host}/containerd/image:v1`);
    expect((await client.getManifest('containerd/pushed', 'v1')).body).toEqual(image.manifest.bytes);
    for (const { digest, bytes } of image.blobs) {
      expect((await client.getBlob('containerd/pushed', digest)).body).toEqual(bytes);
    }
  });

  test('pushes the same again', async () => {
    await ctr('images', 'push', plain, `${registry.host}/containerd/pushed:v1`, `${registry.host}/containerd/image:v1`);
  });

  test('pulls and pushes an index with all its platforms', async () => {
    const list = listOf([image, await busyboxImage('for another machine', 'arm64')]);
    await client.push('containerd/list', list, 'v1');
    const reference = `${registry.host}/containerd/list:v1`;
    await ctr('images', 'pull', plain, ...snapshotter, '--all-platforms', reference);
    await ctr('images', 'push', plain, `${registry.host}/containerd/list-pushed:v1`, reference);
    expect((await client.getManifest('containerd/list-pushed', 'v1')).body).toEqual(list.manifest.bytes);
    for (const { manifest } of list.children) {
      expect((await client.getManifest('containerd/list-pushed', manifest.digest)).body).toEqual(manifest.bytes);
    }
  });

  test('uses the registry as a host of another name, through hosts.toml', async () => {
    const hosts = join(folder.path, 'hosts');
    await mkdir(join(hosts, 'registry.example'), { recursive: true });
    await writeFile(
      join(hosts, 'registry.example', 'hosts.toml'),
      `server = "https://registry.example"
[host."${registry.url}"]
  capabilities = ["pull", "resolve", "push"]
`,
    );
    await ctr('images', 'pull', '--hosts-dir', hosts, ...snapshotter, 'registry.example/containerd/image:v1');
    const [name, , digest] =
      (await ctr('images', 'ls', 'name==registry.example/containerd/image:v1')).split('\n')[1]?.split(/\s+/) ?? [];
    expect([name, digest]).toEqual(['registry.example/containerd/image:v1', image.manifest.digest]);
    await ctr(
      'images',
      'push',
      '--hosts-dir',
      hosts,
      'registry.example/containerd/by-name:v1',
      'registry.example/containerd/image:v1',
    );
    expect((await client.getManifest('containerd/by-name', 'v1')).body).toEqual(image.manifest.bytes);
  });

  test('is told that a tag does not exist', async () => {
    const reference = `${registry.host}/containerd/image:missing`;
    await expect(ctr('images', 'pull', plain, reference)).rejects.toThrow('not found');
  });
});
