import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireTool } from '../harness/require-tool.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Docker, startDocker } from './docker-daemon.ts';
import { createRegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

let registry: RegistryUnderTest;
let daemon: Docker;
let folder: TemporaryFolder;

beforeAll(async () => {
  folder = await temporaryFolder('berth-docker-context-');
  await copyFile(requireTool('busybox'), join(folder.path, 'busybox'));
  registry = await startRegistryUnderTest();
  daemon = await startDocker();
});

afterAll(async () => {
  await daemon?.stop();
  await registry?.stop();
  await folder?.remove();
});

/** Builds `image` from nothing but busybox and a text, which it prints, in `copies` further layers. */
async function build(image: string, text: string, { copies = 0, builder = daemon.docker, args = [] as string[] } = {}) {
  const context = join(folder.path, encodeURIComponent(image));
  await mkdir(context, { recursive: true });
  await copyFile(join(folder.path, 'busybox'), join(context, 'busybox'));
  await writeFile(join(context, 'text'), text);
  const lines = Array.from({ length: copies }, (_, at) => `COPY text /copies/${at}`);
  await writeFile(
    join(context, 'Dockerfile'),
    [
      'FROM scratch',
      'COPY busybox /bin/busybox',
      'COPY text /text',
      ...lines,
      'RUN ["/bin/busybox", "cp", "/text", "/made"]',
      'CMD ["/bin/busybox", "cat", "/made"]',
    ].join('\n'),
  );
  return builder('build', '--network', 'none', ...args, '--tag', image, context);
}

const count = (text: string, part: string) => text.split(part).length - 1;

describe('docker', () => {
  const layers = 3;
  let name: string;
  let pushed: string;

  beforeAll(async () => {
    name = `${registry.host}/user/name`;
    await build(name, 'built here');
    pushed = await daemon.docker('push', name);
  });

  test('pushes user/name under the default tag', async () => {
    expect(count(pushed, ': Pushed')).toBe(layers);
    expect(pushed).toMatch(/latest: digest: sha256:[0-9a-f]{64}/);
  });

  test('finds every layer there when it pushes the same again', async () => {
    expect(count(await daemon.docker('push', name), 'Layer already exists')).toBe(layers);
  });

  test('mounts the layers into a second repository', async () => {
    const second = `${registry.host}/user/second:v1`;
    await daemon.docker('tag', name, second);
    expect(count(await daemon.docker('push', second), 'Mounted from user/name')).toBe(layers);
    await daemon.docker('rmi', second);
  });

  test('pulls what it pushed, and the image runs', async () => {
    await daemon.docker('rmi', name);
    expect(await daemon.docker('pull', name)).toContain('Downloaded newer image');
    expect(await daemon.docker('run', '--rm', '--network', 'none', name)).toBe('built here');
  });

  test('pulls by digest', async () => {
    const digest = /digest: (sha256:[0-9a-f]{64})/.exec(pushed)?.[1];
    await daemon.docker('rmi', name);
    await daemon.docker('pull', `${name}@${digest}`);
    expect(await daemon.docker('run', '--rm', '--network', 'none', `${name}@${digest}`)).toBe('built here');
    await daemon.docker('pull', name);
  });

  test('pulls all tags, as the registry lists them', async () => {
    for (const tag of ['v1', 'v1.1', 'V2']) {
      await daemon.docker('tag', name, `${name}:${tag}`);
      await daemon.docker('push', `${name}:${tag}`);
      await daemon.docker('rmi', `${name}:${tag}`);
    }
    const client = createRegistryClient(registry.url);
    expect(await client.tags('user/name')).toEqual(['V2', 'latest', 'v1', 'v1.1']);
    await daemon.docker('pull', '--all-tags', name);
    const local = await daemon.docker('images', '--format', '{{.Tag}}', name);
    expect(local.split('\n').sort()).toEqual(['V2', 'latest', 'v1', 'v1.1']);
    client.close();
  });

  test('pushes and pulls an image of many layers at once', async () => {
    const many = `${registry.host}/user/many:layers`;
    await build(many, 'many layers', { copies: 40 });
    await daemon.docker('push', many);
    await daemon.docker('rmi', many);
    await daemon.docker('pull', many);
    expect(await daemon.docker('run', '--rm', '--network', 'none', many)).toBe('many layers');
  });

  test('moves a tag, and the next pull has the new image', async () => {
    const moving = `${registry.host}/user/moving`;
    for (const text of ['before', 'after']) {
      await build(moving, text);
      await daemon.docker('push', moving);
      await daemon.docker('rmi', moving);
      await daemon.docker('pull', moving);
      expect(await daemon.docker('run', '--rm', '--network', 'none', moving)).toBe(text);
    }
  });

  test('makes a manifest list of pushed images and pulls through it', async () => {
    const list = `${registry.host}/user/name:list`;
    await daemon.docker('manifest', 'create', '--insecure', list, `${name}:v1`, `${registry.host}/user/name:V2`);
    await daemon.docker('manifest', 'push', '--insecure', list);
    await daemon.docker('pull', list);
    expect(await daemon.docker('run', '--rm', '--network', 'none', list)).toBe('built here');
  });

  test('searches', async () => {
    const found = await daemon.docker('search', '--format', '{{.Name}}', `${registry.host}/user/na`);
    expect(found.split('\n')).toEqual(['user/name']);
    expect(await daemon.docker('search', '--format', '{{.Name}}', `${registry.host}/nothing-of-that-name`)).toBe('');
  });

  test('logs in to a registry that asks for no password, and goes on to push and pull', async () => {
    expect(await daemon.docker('login', '--username', 'any', '--password', 'any', registry.host)).toContain(
      'Login Succeeded',
    );
    await daemon.docker('push', name);
    await daemon.docker('pull', name);
    await daemon.docker('logout', registry.host);
  });

  test('is told that an image does not exist', async () => {
    await expect(daemon.docker('pull', `${registry.host}/user/missing`)).rejects.toThrow(/not found|manifest unknown/);
  });

  test('builds with the cache that BuildKit left in a pushed image', async () => {
    const cached = `${registry.host}/user/cached`;
    const inline = ['--build-arg', 'BUILDKIT_INLINE_CACHE=1'];
    await build(cached, 'from the cache', { builder: daemon.buildkit, args: inline });
    await daemon.docker('push', cached);
    await daemon.docker('rmi', cached);
    await daemon.docker('builder', 'prune', '--all', '--force');
    const again = await build(cached, 'from the cache', {
      builder: daemon.buildkit,
      args: [...inline, '--cache-from', cached],
    });
    expect(count(again, ' CACHED')).toBe(layers);
  });
});
