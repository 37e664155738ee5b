import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { useGoTool } from './go-tool.ts';
import { noiseImage } from './raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

const tool = useGoTool('cosign');
let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let cosign: Command;

beforeAll(async () => {
  folder = await temporaryFolder('berth-cosign-');
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  cosign = createCommand(tool.path, [], {
    cwd: folder.path,
    env: {
      COSIGN_PASSWORD: '',
      COSIGN_EXPERIMENTAL: '1',
      DOCKER_CONFIG: folder.path,
      // Keeps what it finds out about the public services out of this machine's home.
      TUF_ROOT: join(folder.path, 'tuf'),
    },
  });
  if (tool.path !== '') await cosign('generate-key-pair');
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
  await folder?.remove();
});

const sign = ['sign', '--yes', '--key', 'cosign.key', '--tlog-upload=false', '--allow-http-registry'];
const verify = ['verify', '--key', 'cosign.pub', '--insecure-ignore-tlog=true', '--allow-http-registry'];

describe('cosign', () => {
  test('signs and verifies with the signature under a tag', async () => {
    const image = noiseImage('signed by tag');
    await client.push('cosign/by-tag', image, 'v1');
    const reference = `${registry.host}/cosign/by-tag@${image.manifest.digest}`;
    await expect(cosign(...verify, reference)).rejects.toThrow(/no (matching )?signatures/);
    await cosign(...sign, reference);
    expect(await cosign(...verify, `${registry.host}/cosign/by-tag:v1`)).toContain(image.manifest.digest);
    const tag = `${image.manifest.digest.replace(':', '-')}.sig`;
    expect(await client.tags('cosign/by-tag')).toEqual([tag, 'v1']);
  });

  test('signs and verifies with the signature as a referrer', async () => {
    const image = noiseImage('signed as a referrer');
    await client.push('cosign/referrer', image, 'v1');
    const reference = `${registry.host}/cosign/referrer@${image.manifest.digest}`;
    await cosign(...sign, '--registry-referrers-mode=oci-1-1', reference);
    expect(await cosign(...verify, '--experimental-oci11', reference)).toContain(image.manifest.digest);
    expect(await client.tags('cosign/referrer')).toEqual(['v1']);
  });

  test('does not verify what another key has signed', async () => {
    const image = noiseImage('signed by another key');
    await client.push('cosign/other', image, 'v1');
    const reference = `${registry.host}/cosign/other@${image.manifest.digest}`;
    await cosign('generate-key-pair', '--output-key-prefix', 'other');
    await cosign(...sign.map((argument) => argument.replace('cosign.key', 'other.key')), reference);
    await expect(cosign(...verify, reference)).rejects.toThrow(/invalid signature|no matching signatures/);
  });
});
