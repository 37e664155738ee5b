import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { useGoTool } from './go-tool.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

const tool = useGoTool('helm');
let registry: RegistryUnderTest;
let folder: TemporaryFolder;
let helm: Command;

beforeAll(async () => {
  folder = await temporaryFolder('berth-helm-');
  registry = await startRegistryUnderTest();
  const home = (name: string) => join(folder.path, name);
  const env = { HELM_CACHE_HOME: home('cache'), HELM_CONFIG_HOME: home('config'), HELM_DATA_HOME: home('data') };
  helm = createCommand(tool.path, [], { cwd: folder.path, env: { ...env, DOCKER_CONFIG: folder.path } });
});

afterAll(async () => {
  await registry?.stop();
  await folder?.remove();
});

const plain = '--plain-http';

describe('helm', () => {
  test('packages, pushes and pulls a chart', async () => {
    await helm('create', 'chart');
    await mkdir(join(folder.path, 'pulled'));
    for (const version of ['0.1.0', '0.2.0', '0.3.0+build.1']) {
      await helm('package', 'chart', '--version', version);
      await helm('push', plain, `chart-${version}.tgz`, `oci://${registry.host}/helm`);
    }
    await helm('pull', plain, `oci://${registry.host}/helm/chart`, '--version', '0.1.0', '--destination', 'pulled');
    const [made, pulled] = await Promise.all(
      ['', 'pulled'].map((place) => readFile(join(folder.path, place, 'chart-0.1.0.tgz'))),
    );
    expect(pulled).toEqual(made);
  });

  test('finds the newest version of a range among the tags', async () => {
    const shown = await helm(
      'show',
      'chart',
      plain,
      `oci://${registry.host}/helm/chart`,
      '--version',
      '>=0.1.0 <0.3.0',
    );
    expect(shown).toContain('version: 0.2.0');
  });

  test('finds a version with build metadata, whose + is written as _', async () => {
    const shown = await helm('show', 'chart', plain, `oci://${registry.host}/helm/chart`, '--version', '0.3.0+build.1');
    expect(shown).toContain('version: 0.3.0+build.1');
  });

  test('renders a chart of the registry', async () => {
    const rendered = await helm('template', 'name', plain, `oci://${registry.host}/helm/chart`, '--version', '0.2.0');
    expect(rendered).toContain('helm.sh/chart: chart-0.2.0');
  });

  test('is told that a version does not exist', async () => {
    const missing = helm('pull', plain, `oci://${registry.host}/helm/chart`, '--version', '9.9.9');
    await expect(missing).rejects.toThrow('not found');
  });
});
