import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blob, mediaTypes } from '../harness/content.ts';
import { requireTool } from '../harness/require-tool.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Command, createCommand } from './command.ts';
import { type Artifact, imageOf, listOf, noise, noiseImage } from './raw/artifact.ts';
import { contentsOf, readOciLayout, writeOciLayout } from './raw/oci-layout.ts';
import { createRegistryClient, type RegistryClient } from './raw/registry-client.ts';
import { type RegistryUnderTest, startRegistryUnderTest } from './registry-under-test.ts';

let registry: RegistryUnderTest;
let client: RegistryClient;
let folder: TemporaryFolder;
let skopeo: Command;

/** As skopeo and the OCI layout know them. */
let image: Artifact;
let list: Artifact;

beforeAll(async () => {
  folder = await temporaryFolder('berth-skopeo-');
  skopeo = createCommand(requireTool('skopeo'), ['--insecure-policy']);
  registry = await startRegistryUnderTest();
  client = createRegistryClient(registry.url);
  image = gzipImage('image');
  list = listOf(['amd64', 'arm64', 's390x'].map((architecture) => gzipImage(architecture, architecture)));
  await writeOciLayout(at('source'), { image, list });
});

afterAll(async () => {
  client?.close();
  await registry?.stop();
  await folder?.remove();
});

const at = (name: string) => join(folder.path, name);
const remote = (name: string) => `docker://${registry.host}/${name}`;
const open = { from: '--src-tls-verify=false', to: '--dest-tls-verify=false' };

/** An image with one compressed layer, which skopeo can decompress. */
function gzipImage(seed: string, architecture = 'amd64'): Artifact {
  const plain = blob(noise(seed, 10_240));
  const layer = blob(gzipSync(plain.bytes), `${mediaTypes.layer}+gzip`);
  return imageOf([layer], { architecture, diffIds: [plain.digest] });
}

/** All digests of an artifact, as `readOciLayout` gives them. */
const digestsOf = (artifact: Artifact) => [...new Set(contentsOf(artifact).map(({ digest }) => digest))].sort();

describe('skopeo', () => {
  test('copies a layout to the registry and back without a change', async () => {
    await skopeo('copy', open.to, `oci:${at('source')}:image`, remote('skopeo/image:v1'));
    await skopeo('copy', open.from, remote('skopeo/image:v1'), `oci:${at('back')}:image`);
    expect(await readOciLayout(at('back'))).toEqual({ named: [image.manifest.digest], blobs: digestsOf(image) });
  });

  test('copies an index with all its images, and back', async () => {
    await skopeo('copy', '--all', open.to, `oci:${at('source')}:list`, remote('skopeo/list:v1'));
    await skopeo('copy', '--all', open.from, remote('skopeo/list:v1'), `oci:${at('list-back')}:list`);
    expect(await readOciLayout(at('list-back'))).toEqual({ named: [list.manifest.digest], blobs: digestsOf(list) });
  });

  test('copies between repositories of the registry, keeping digests', async () => {
    await skopeo(
      'copy',
      '--all',
      '--preserve-digests',
      open.from,
      open.to,
      remote('skopeo/list:v1'),
      remote('skopeo/copy:v1'),
    );
    const copy = await client.getManifest('skopeo/copy', 'v1');
    expect(copy.body).toEqual(list.manifest.bytes);
  });

  test.each([
    ['v2s2', mediaTypes.dockerImage],
    ['oci', mediaTypes.image],
  ])('pushes in the format %s', async (format, mediaType) => {
    await skopeo('copy', '--format', format, open.to, `oci:${at('source')}:image`, remote(`skopeo/format:${format}`));
    const pushed = await client.getManifest('skopeo/format', format);
    expect(pushed.header('Content-Type')).toBe(mediaType);
    await skopeo('copy', open.from, remote(`skopeo/format:${format}`), `dir:${at(format)}`);
  });

  test('compresses layers with zstd on the way, and pulls them', async () => {
    const plain = noiseImage('to be compressed', { layers: 3 });
    await writeOciLayout(at('plain'), { plain });
    const zstd = ['--dest-compress', '--dest-compress-format', 'zstd'];
    await skopeo('copy', ...zstd, open.to, `oci:${at('plain')}:plain`, remote('skopeo/zstd:v1'));
    const pushed = (await client.getManifest('skopeo/zstd', 'v1')).json() as { layers: { mediaType: string }[] };
    expect(pushed.layers.map((layer) => layer.mediaType)).toEqual(Array(3).fill(`${mediaTypes.layer}+zstd`));
    await skopeo('copy', open.from, remote('skopeo/zstd:v1'), `dir:${at('zstd')}`);
  });

  test('lists a thousand tags', async () => {
    const tagged = noiseImage('a thousand tags');
    await client.push('skopeo/tags', tagged);
    const tags = Array.from({ length: 1000 }, (_, n) => `v${n}`);
    for (const tag of tags) await client.pushManifest('skopeo/tags', tag, tagged.manifest);
    const listed = JSON.parse(await skopeo('list-tags', '--tls-verify=false', remote('skopeo/tags'))) as {
      Tags: string[];
    };
    expect(listed.Tags.sort()).toEqual(tags.sort());
  });

  test('inspects by tag and by digest', async () => {
    for (const name of ['skopeo/image:v1', `skopeo/image@${image.manifest.digest}`]) {
      const inspected = JSON.parse(await skopeo('inspect', '--tls-verify=false', remote(name))) as { Digest: string };
      expect(inspected.Digest).toBe(image.manifest.digest);
    }
    const raw = await skopeo('inspect', '--raw', '--tls-verify=false', remote('skopeo/list:v1'));
    expect(raw).toBe(list.manifest.bytes.toString());
  });

  test('syncs a repository with all its tags into a folder and from there into another place', async () => {
    await client.push('skopeo/synced', image, 'one');
    await client.push('skopeo/synced', noiseImage('two'), 'two');
    const repository = `${registry.host}/skopeo/synced`;
    await skopeo('sync', open.from, '--scoped', '--src', 'docker', '--dest', 'dir', repository, at('sync'));
    await skopeo(
      'sync',
      open.to,
      '--src',
      'dir',
      '--dest',
      'docker',
      join(at('sync'), registry.host, 'skopeo'),
      `${registry.host}/mirror`,
    );
    expect(await client.tags('mirror/synced')).toEqual(['one', 'two']);
  });

  test('deletes, and what it deleted is gone', async () => {
    await client.push('skopeo/deleted', image, 'v1');
    await skopeo('delete', '--tls-verify=false', remote('skopeo/deleted:v1'));
    expect((await client.getManifest('skopeo/deleted', 'v1')).status).toBe(404);
    expect((await client.getManifest('skopeo/deleted', image.manifest.digest)).status).toBe(404);
    await skopeo('copy', open.to, `oci:${at('source')}:image`, remote('skopeo/deleted:v1'));
    expect((await client.getManifest('skopeo/deleted', 'v1')).body).toEqual(image.manifest.bytes);
  });
});
