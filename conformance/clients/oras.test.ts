import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../harness/content.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { useGoTool } from './go-tool.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

const tool = useGoTool('oras');
let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let oras: Command;

beforeAll(async () => {
  folder = await temporaryFolder('berth-oras-');
  for (const name of ['one', 'two']) await writeFile(at(`${name}.txt`), `content of ${name}`);
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  oras = createCommand(tool.path, [], { cwd: folder.path, env: { DOCKER_CONFIG: folder.path } });
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
  await folder?.remove();
});

const remote = (name: string) => `${registry.host}/${name}`;
const at = (name: string) => join(folder.path, name);
const plain = '--plain-http';
const both = ['--from-plain-http', '--to-plain-http'];

const digest = (reference: string) => oras('resolve', plain, remote(reference));

/** What the referrers API lists. */
async function referrers(repository: string, subject: string): Promise<{ digest: string; artifactType: string }[]> {
  const reply = await client.request('GET', `/v2/${repository}/referrers/${subject}`);
  return (reply.json() as { manifests: { digest: string; artifactType: string }[] }).manifests;
}

/** The artifact types of what refers to `reference`, everything below included. */
async function discover(reference: string, ...args: string[]): Promise<string[]> {
  const found = await oras('discover', plain, '--format', 'json', ...args, remote(reference));
  return (JSON.parse(found) as { manifests: { artifactType: string }[] }).manifests
    .map((each) => each.artifactType)
    .sort();
}

describe('oras', () => {
  test('pushes an artifact of two files and pulls them', async () => {
    await oras(
      'push',
      plain,
      '--artifact-type',
      'application/vnd.example',
      remote('oras/artifact:v1'),
      'one.txt:text/plain',
      'two.txt',
    );
    await mkdir(at('pulled'));
    await oras('pull', plain, '--output', at('pulled'), remote('oras/artifact:v1'));
    for (const name of ['one', 'two']) {
      expect(await readFile(at(`pulled/${name}.txt`), 'utf8')).toBe(`content of ${name}`);
    }
  });

  test('attaches artifacts to it and discovers them, all and by type', async () => {
    for (const type of ['application/vnd.sbom+json', 'application/vnd.signature']) {
      await oras('attach', plain, '--artifact-type', type, remote('oras/artifact:v1'), 'two.txt');
    }
    expect(await discover('oras/artifact:v1')).toEqual(['application/vnd.sbom+json', 'application/vnd.signature']);
    expect(await discover('oras/artifact:v1', '--artifact-type', 'application/vnd.sbom+json')).toEqual([
      'application/vnd.sbom+json',
    ]);
  });

  test('uses the referrers API: no tag stands in for it', async () => {
    expect((await oras('repo', 'tags', plain, remote('oras/artifact'))).split('\n')).toEqual(['v1']);
  });

  test('copies an artifact with all that refers to it, to a repository, to a layout, and back', async () => {
    const types = await discover('oras/artifact:v1');
    await oras('cp', '-r', ...both, remote('oras/artifact:v1'), remote('oras/copied:v1'));
    expect(await discover('oras/copied:v1')).toEqual(types);
    await oras('cp', '-r', '--from-plain-http', '--to-oci-layout', remote('oras/artifact:v1'), 'layout:v1');
    await oras('cp', '-r', '--from-oci-layout', '--to-plain-http', 'layout:v1', remote('oras/returned:v1'));
    expect(await discover('oras/returned:v1')).toEqual(types);
  });

  test('attaches to what was attached', async () => {
    const [first] = await referrers('oras/artifact', await digest('oras/artifact:v1'));
    await oras(
      'attach',
      plain,
      '--artifact-type',
      'application/vnd.of-the-attached',
      remote(`oras/artifact@${first?.digest}`),
      'one.txt',
    );
    expect(await discover(`oras/artifact@${first?.digest}`)).toEqual(['application/vnd.of-the-attached']);
  });

  test('tags, lists and resolves', async () => {
    await oras('tag', plain, remote('oras/artifact:v1'), 'v2', 'v3');
    expect((await oras('repo', 'tags', plain, remote('oras/artifact'))).split('\n')).toEqual(['v1', 'v2', 'v3']);
    expect(await digest('oras/artifact:v3')).toBe(await digest('oras/artifact:v1'));
    expect((await oras('repo', 'ls', plain, registry.host)).split('\n')).toContain('oras/artifact');
  });

  test('pushes and fetches a blob and deletes it', async () => {
    await oras('blob', 'push', plain, remote('oras/blob'), 'one.txt');
    const blob = `oras/blob@${digestOf('content of one')}`;
    expect(await oras('blob', 'fetch', plain, '--output', '-', remote(blob))).toBe('content of one');
    await oras('blob', 'delete', plain, '--force', remote(blob));
    await expect(oras('blob', 'fetch', plain, '--output', '-', remote(blob))).rejects.toThrow('not found');
  });

  test('deletes an attached manifest, which is then no longer discovered', async () => {
    const listed = await referrers('oras/copied', await digest('oras/copied:v1'));
    const signature = listed.find(({ artifactType }) => artifactType === 'application/vnd.signature');
    await oras('manifest', 'delete', plain, '--force', remote(`oras/copied@${signature?.digest}`));
    expect(await discover('oras/copied:v1')).toEqual(['application/vnd.sbom+json']);
  });
});
