import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../harness/run.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { useGoTool } from './go-tool.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

const tool = useGoTool('crane');
let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let crane: Command;

beforeAll(async () => {
  folder = await temporaryFolder('berth-crane-');
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  crane = createCommand(tool.path, [], { env: { DOCKER_CONFIG: folder.path } });
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
  await folder?.remove();
});

const remote = (name: string) => `${registry.host}/${name}`;
const at = (name: string) => join(folder.path, name);

/** Makes an image of one file. */
async function append(image: string, text: string, ...args: string[]): Promise<void> {
  await writeFile(at('text'), text);
  await run('tar', ['--create', '--file', at('layer.tar'), '--directory', folder.path, 'text']);
  await crane('append', '--new_layer', at('layer.tar'), '--new_tag', remote(image), ...args);
}

describe('crane', () => {
  test('appends a layer to nothing and then to what is there', async () => {
    await append('crane/image:v1', 'one');
    await append('crane/image:v2', 'two', '--base', remote('crane/image:v1'));
    await crane('validate', '--remote', remote('crane/image:v2'));
    const manifest = JSON.parse(await crane('manifest', remote('crane/image:v2'))) as { layers: unknown[] };
    expect(manifest.layers).toHaveLength(2);
  });

  test('says the digest that the registry says', async () => {
    const digest = await crane('digest', remote('crane/image:v1'));
    expect(digest).toBe((await client.getManifest('crane/image', 'v1')).header('Docker-Content-Digest'));
    await crane('manifest', remote(`crane/image@${digest}`));
  });

  test('pulls an image into a file and pushes it to another repository', async () => {
    await crane('pull', remote('crane/image:v2'), at('image.tar'));
    await crane('push', at('image.tar'), remote('crane/pushed:v1'));
    expect(await crane('digest', remote('crane/pushed:v1'))).toBe(await crane('digest', remote('crane/image:v2')));
    await crane('validate', '--remote', remote('crane/pushed:v1'));
  });

  test('copies between repositories by mounting', async () => {
    await crane('copy', remote('crane/image:v2'), remote('crane/copied:v1'));
    expect(await crane('digest', remote('crane/copied:v1'))).toBe(await crane('digest', remote('crane/image:v2')));
    await crane('validate', '--remote', remote('crane/copied:v1'));
  });

  test('changes labels', async () => {
    await crane('mutate', remote('crane/image:v1'), '--label', 'berth=tested', '--tag', remote('crane/image:labelled'));
    const config = JSON.parse(await crane('config', remote('crane/image:labelled'))) as { config: { Labels: object } };
    expect(config.config.Labels).toEqual({ berth: 'tested' });
  });

  test('makes an index, and copies it whole', async () => {
    const images = ['v1', 'v2'].flatMap((tag) => ['--manifest', remote(`crane/image:${tag}`)]);
    await crane('index', 'append', ...images, '--tag', remote('crane/image:index'));
    await crane('copy', remote('crane/image:index'), remote('crane/index:v1'));
    await crane('validate', '--remote', remote('crane/index:v1'));
    await crane('pull', '--format', 'oci', remote('crane/index:v1'), at('index'));
  });

  test('lists tags and the catalogue', async () => {
    await crane('tag', remote('crane/image:v1'), 'again');
    expect((await crane('ls', remote('crane/image'))).split('\n').sort()).toEqual([
      'again',
      'index',
      'labelled',
      'v1',
      'v2',
    ]);
    const repositories = (await crane('catalog', registry.host)).split('\n');
    expect(repositories).toEqual(
      expect.arrayContaining(['crane/copied', 'crane/image', 'crane/index', 'crane/pushed']),
    );
  });

  test('deletes by tag and by digest', async () => {
    await append('crane/deleted:v1', 'deleted');
    const digest = await crane('digest', remote('crane/deleted:v1'));
    await crane('delete', remote('crane/deleted:v1'));
    await crane('manifest', remote(`crane/deleted@${digest}`));
    await crane('delete', remote(`crane/deleted@${digest}`));
    await expect(crane('manifest', remote(`crane/deleted@${digest}`))).rejects.toThrow('MANIFEST_UNKNOWN');
    expect(await crane('ls', remote('crane/deleted'))).toBe('');
  });
});
