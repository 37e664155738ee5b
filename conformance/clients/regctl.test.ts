import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../harness/run.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { useGoTool } from './go-tool.ts';
import { listOf, noise, noiseImage } from './raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

const tool = useGoTool('regctl');
let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let regctl: Command;

const image = noiseImage('regctl');
const list = listOf([image, noiseImage('regctl, the second', { architecture: 'arm64' })]);

beforeAll(async () => {
  folder = await temporaryFolder('berth-regctl-');
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  await client.push('regctl/image', image, 'v1');
  await client.push('regctl/list', list, 'v1');
  regctl = createCommand(tool.path, [], { env: environment() });
  if (tool.path !== '') await regctl('registry', 'set', '--tls', 'disabled', registry.host);
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
  await folder?.remove();
});

const environment = () => ({ REGCTL_CONFIG: join(folder.path, 'regctl.json'), DOCKER_CONFIG: folder.path });
const remote = (name: string) => `${registry.host}/${name}`;
const put = (args: string[], input: string | Buffer) => run(tool.path, args, { env: environment(), input });

describe('regctl', () => {
  test('copies an image and an index between repositories, and through a layout', async () => {
    await regctl('image', 'copy', remote('regctl/image:v1'), remote('regctl/copied:image'));
    await regctl('image', 'copy', remote('regctl/list:v1'), `ocidir://${folder.path}/layout:v1`);
    await regctl('image', 'copy', `ocidir://${folder.path}/layout:v1`, remote('regctl/copied:list'));
    expect((await client.getManifest('regctl/copied', 'image')).body).toEqual(image.manifest.bytes);
    expect((await client.getManifest('regctl/copied', 'list')).body).toEqual(list.manifest.bytes);
    expect(await regctl('image', 'digest', remote('regctl/copied:list'))).toBe(list.manifest.digest);
  });

  test('lists tags and repositories', async () => {
    expect((await regctl('tag', 'ls', remote('regctl/copied'))).split('\n')).toEqual(['image', 'list']);
    expect((await regctl('repo', 'ls', registry.host)).split('\n')).toEqual(
      expect.arrayContaining(['regctl/copied', 'regctl/image']),
    );
  });

  test('deletes a tag and nothing else', async () => {
    await regctl('image', 'copy', remote('regctl/image:v1'), remote('regctl/image:same'));
    await regctl('tag', 'delete', remote('regctl/image:same'));
    expect(await client.tags('regctl/image')).toEqual(['v1']);
    expect((await client.getManifest('regctl/image', 'v1')).body).toEqual(image.manifest.bytes);
  });

  test('puts artifacts with a subject, lists them by type and gets them back', async () => {
    for (const type of ['application/vnd.one', 'application/vnd.two']) {
      const args = ['artifact', 'put', '--artifact-type', type, '--subject', remote('regctl/image:v1')];
      expect((await put(args, `content of ${type}`)).code).toBe(0);
    }
    const listed = await regctl(
      'artifact',
      'list',
      remote('regctl/image:v1'),
      '--format',
      '{{ range .Descriptors }}{{ println .ArtifactType }}{{ end }}',
    );
    expect(listed.split('\n').sort()).toEqual(['application/vnd.one', 'application/vnd.two']);
    const one = ['--subject', remote('regctl/image:v1'), '--filter-artifact-type', 'application/vnd.one'];
    expect(await regctl('artifact', 'get', ...one)).toBe('content of application/vnd.one');
    expect(await client.tags('regctl/image')).toEqual(['v1']);
  });

  test('copies an image together with what refers to it', async () => {
    await regctl('image', 'copy', '--referrers', remote('regctl/image:v1'), remote('regctl/referred:v1'));
    const listed = await regctl('artifact', 'list', remote('regctl/referred:v1'), '--format', '{{ len .Descriptors }}');
    expect(listed).toBe('2');
  });

  test.each([
    ['in one piece', '-1'],
    ['in chunks', '100000'],
  ])('puts a blob %s, and gets it back', async (how, limit) => {
    await regctl('registry', 'set', '--blob-chunk', '65536', '--blob-max', limit, registry.host);
    const bytes = noise(`regctl, ${how}`, 1_000_000);
    const { stdout, code } = await put(['blob', 'put', remote('regctl/blob')], bytes);
    expect(code).toBe(0);
    const digest = stdout.trim();
    expect(await regctl('blob', 'head', remote('regctl/blob'), digest)).toContain('Content-Length: 1000000');
    expect((await client.getBlob('regctl/blob', digest)).body).toEqual(bytes);
    await regctl('blob', 'delete', remote('regctl/blob'), digest);
    await expect(regctl('blob', 'head', remote('regctl/blob'), digest)).rejects.toThrow('404');
  });

  test('changes an image and pushes the result', async () => {
    const annotation = ['--annotation', 'berth=tested'];
    await regctl('image', 'mod', remote('regctl/list:v1'), '--create', remote('regctl/list:changed'), ...annotation);
    const changed = JSON.parse(
      await regctl('manifest', 'get', '--format', 'raw-body', remote('regctl/list:changed')),
    ) as { annotations: object };
    expect(changed.annotations).toEqual({ berth: 'tested' });
  });

  test('deletes a manifest by digest', async () => {
    await regctl('manifest', 'delete', remote(`regctl/copied@${image.manifest.digest}`));
    expect((await client.getManifest('regctl/copied', 'image')).status).toBe(404);
  });
});
