import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { listOf, noise, noiseImage } from '../clients/raw/artifact.ts';
import type { RegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { s3Bucket } from '../harness/s3-server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Program, withRegistry } from './servers.ts';

/** The same done to both, below root directories of their own, leaves the same keys. */

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder('berth-bucket-keys-');
});
afterAll(() => folder?.remove());

/** What a registry has left after `use`. Folders of berth's own, which distribution skips, are left out. */
async function keysAfter(
  program: Program,
  name: string,
  use: (client: RegistryClient) => Promise<void>,
): Promise<string[]> {
  const dataDir = `${folder.path}/${program}/${name}`;
  await withRegistry({ storage: 's3', dataDir }, program, use);
  const keys = await (await s3Bucket()).keys(dataDir);
  return keys.filter((key) => !key.includes('/_berth/'));
}

const image = noiseImage('an image');
const another = noiseImage('another image', { family: 'docker' });

const rows: readonly [name: string, use: (client: RegistryClient) => Promise<void>][] = [
  [
    'blobs, however they are sent',
    async (client) => {
      for (const [at, how] of (['whole', 'stream', 'chunks'] as const).entries()) {
        await client.pushBlob('a/b', blob(noise(`sent in way ${at}`, 200_000)), how);
      }
      await client.pushBlob('a/b', blob(noise('large', 12 << 20)), 'stream');
    },
  ],
  [
    'images, lists and tags',
    async (client) => {
      for (const tag of ['v1', 'v2']) await client.push('a', image, tag);
      await client.push('a/b', another, 'v1');
      await client.push('lists', listOf([image, noiseImage('an image of a list')]), 'list');
    },
  ],
  [
    'a tag that is moved',
    async (client) => {
      for (const artifact of [image, another, image]) await client.push('a', artifact, 'moved');
    },
  ],
  [
    'a blob that is mounted',
    async (client) => {
      const content = blob('mounted');
      await client.pushBlob('from', content);
      await client.expect(201, 'POST', `/v2/to/blobs/uploads/?mount=${content.digest}&from=from`);
    },
  ],
  [
    'a blob and a manifest that are deleted',
    async (client) => {
      await client.push('a', image, 'v1');
      await client.push('a', another, 'v2');
      await client.expect(202, 'DELETE', `/v2/a/blobs/${image.blobs[0]?.digest}`);
      await client.expect(202, 'DELETE', `/v2/a/manifests/${another.manifest.digest}`);
    },
  ],
];

describe('berth leaves the keys in a bucket that distribution leaves', () => {
  test.each(rows)('%s', async (name, use) => {
    const expected = await keysAfter('distribution', name.replaceAll(/\W+/g, '-'), use);
    expect(expected).not.toEqual([]);
    expect(await keysAfter('berth', name.replaceAll(/\W+/g, '-'), use)).toEqual(expected);
  });
});
