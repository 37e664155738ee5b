import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageOf, listOf, noise, noiseImage } from '../clients/raw/artifact.ts';
import { locationOf, type RegistryClient, withDigest } from '../clients/raw/registry-client.ts';
import { blob, descriptor, digestOf } from '../harness/content.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { collectWithDistribution, type Place, withRegistry } from './servers.ts';
import { Volume } from './volume.ts';

/** Names that are prefixes of each other, as text and as paths, and that paths and text order differently. */
const names = [
  'a',
  'a/b',
  'a/b/c',
  'a-b',
  'a-b/c',
  'a.b',
  'a_b',
  'a__b',
  'ab',
  'deep/1/2/3/4/5/6/7',
  'library/alpine',
  'user/name',
];

const image = noiseImage('an image');
const dockerImage = noiseImage('a Docker image', { family: 'docker' });
const list = listOf([noiseImage('list 0'), noiseImage('list 1', { architecture: 'arm64' })]);
const dockerList = listOf(
  [
    noiseImage('docker list 0', { family: 'docker' }),
    noiseImage('docker list 1', { family: 'docker', architecture: 'arm64' }),
  ],
  'docker',
);
const nested = listOf([list, noiseImage('beside the nested list')]);
const sharedLayer = blob(noise('a layer of many images', 200_000));
const deleted = noiseImage('deleted by distribution');
const signature = noiseImage('a signature', {
  fields: { subject: descriptor(image.manifest), artifactType: 'application/vnd.example.signature' },
});
const collected = noiseImage('deleted by berth, collected by distribution');
const abandoned = blob(noise('an upload that is not finished', 300_000));

/** Sends the first 100,000 bytes of `abandoned` and leaves. @returns the location to go on at */
async function abandonUpload(client: RegistryClient, repository: string): Promise<string> {
  const location = await client.startUpload(repository);
  return locationOf(await client.expect(202, 'PATCH', location, { body: abandoned.bytes.subarray(0, 100_000) }));
}

/** The digests that the referrers API lists for `subject`. */
async function referrers(client: RegistryClient, repository: string, subject: string): Promise<string[]> {
  const reply = await client.expect(200, 'GET', `/v2/${repository}/referrers/${subject}`);
  return (reply.json() as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest).sort();
}

/**
 * One volume, and one bucket, goes from distribution to berth, back, and again to berth. The tests are the stations of
 * that way, in order: each goes on with what the one before left.
 */
describe.each(['filesystem', 's3'] as const)('what distribution has stored: %s', (storage) => {
  let folder: TemporaryFolder;
  let place: Place;
  let location: string;
  const volume = new Volume();
  // Distribution 2.8 cannot store a blob of no bytes in a bucket.
  const empty = storage === 's3' ? [] : [blob('')];
  const odd = imageOf([blob(noise('large', 5_000_000)), sharedLayer, ...empty, sharedLayer]);

  beforeAll(async () => {
    folder = await temporaryFolder('berth-drop-in-');
    place = { storage, dataDir: `${folder.path}/data` };
  });

  afterAll(() => folder?.remove());

  test('is filled by distribution', async () => {
    await withRegistry(place, 'distribution', async (client) => {
      for (const name of names) {
        await volume.push(client, name, noiseImage(name), 'latest');
        await volume.push(client, name, noiseImage(name, { family: 'docker' }), 'docker');
        await volume.push(client, name, noiseImage(`${name}, untagged`));
      }
      for (let n = 0; n < 10; n++) {
        await volume.push(client, `many/r${n}`, imageOf([sharedLayer, blob(noise(`many ${n}`, 100))]), 'v1');
      }
      for (const tag of ['v1', 'v1.0', 'V1', '_underscore', '1', 'same'])
        await volume.push(client, 'multi', image, tag);
      await volume.push(client, 'multi', dockerImage, 'docker');
      await volume.push(client, 'multi', list, 'list');
      await volume.push(client, 'multi', dockerList, 'docker-list');
      await volume.push(client, 'multi', nested, 'nested');
      await volume.push(client, 'multi', odd, 'odd');
      await volume.push(client, 'multi', signature);
      for (const text of ['before', 'between', 'after']) await volume.push(client, 'multi', noiseImage(text), 'moved');
      for (const tag of ['gone', 'gone-too']) await volume.push(client, 'multi', deleted, tag);
      await volume.deleteManifest(client, 'multi', deleted);
      await volume.push(client, 'emptied', deleted, 'v1');
      await volume.deleteManifest(client, 'emptied', deleted);
      await volume.push(client, 'ab', collected, 'lost');
      location = await abandonUpload(client, 'a/b');
      await volume.expectServedBy(client);
    });
  });

  test('is served by berth, everything as it was', async () => {
    await withRegistry(place, 'berth', (client) => volume.expectServedBy(client));
  });

  test('has referrers although distribution keeps none', async () => {
    await withRegistry(place, 'berth', async (client) => {
      expect(await referrers(client, 'multi', image.manifest.digest)).toEqual([signature.manifest.digest]);
    });
  });

  test('has an upload that berth finishes', async () => {
    // In a bucket distribution keeps the bytes in a multipart upload of its own: berth lets the client begin anew.
    const kept = storage === 's3' ? 0 : 100_000;
    await withRegistry(place, 'berth', async (client) => {
      const { pathname, search } = new URL(location, client.url);
      const path = pathname + search;
      expect((await client.expect(204, 'GET', path)).header('Range')).toBe(`0-${Math.max(0, kept - 1)}`);
      const rest = await client.expect(202, 'PATCH', path, { body: abandoned.bytes.subarray(kept) });
      await client.expect(201, 'PUT', withDigest(locationOf(rest), abandoned.digest));
      expect((await client.getBlob('a/b', abandoned.digest)).body.equals(abandoned.bytes)).toBe(true);
    });
  });

  test('is changed by berth', async () => {
    await withRegistry(place, 'berth', async (client) => {
      await volume.push(client, 'berth/new', noiseImage('pushed to berth'), 'v1');
      await volume.push(client, 'berth', noiseImage('above the new one'), 'v1');
      await volume.push(client, 'a/b', noiseImage('a new tag in an old repository'), 'new');
      await volume.push(client, 'a/b', noiseImage('a moved tag'), 'latest');
      await volume.push(client, 'multi', deleted, 'back');
      await volume.push(client, 'multi', image, 'another');
      await volume.push(client, 'berth/list', nested, 'nested');
      await volume.push(client, 'berth/docker', dockerList, 'list');
      await volume.push(client, 'berth/odd', odd, 'odd');
      for (let n = 0; n < 5; n++) await volume.push(client, 'berth/moved', noiseImage(`moved ${n}`), 'moving');
      for (const tag of ['v1', 'v2', 'v3']) await volume.push(client, 'berth/tags', noiseImage(tag), tag);
      await volume.deleteTag(client, 'berth/tags', 'v2');
      await volume.deleteManifest(client, 'berth/tags', noiseImage('v3'));
      await volume.deleteTag(client, 'multi', 'V1');
      await volume.deleteManifest(client, 'ab', collected);
      await volume.deleteManifest(client, 'multi', dockerImage);
      await abandonUpload(client, 'a');
      await volume.expectServedBy(client);
    });
  });

  test('is served by distribution again, with all that berth did', async () => {
    await withRegistry(place, 'distribution', (client) => volume.expectServedBy(client));
  });

  test("goes through distribution's garbage collection without a loss", async () => {
    expect(await collectWithDistribution(place, folder.path)).toMatch(/ [1-9]\d* blobs/);
    await withRegistry(place, 'distribution', (client) => volume.expectServedBy(client));
  });

  test('is served by berth again, without what was collected', async () => {
    await withRegistry(place, 'berth', async (client) => {
      await volume.expectServedBy(client);
      for (const { digest } of collected.blobs) {
        expect((await client.request('HEAD', `/v2/ab/blobs/${digest}`)).status).toBe(404);
      }
    });
  });

  test('takes again what was collected, although links to it are left', async () => {
    await withRegistry(place, 'berth', async (client) => {
      await volume.push(client, 'ab', collected, 'found');
      await volume.expectServedBy(client);
    });
    await withRegistry(place, 'distribution', (client) => volume.expectServedBy(client));
  });

  test('digests of another algorithm are found by either program where the other one put them', async () => {
    const bytes = noise('under its sha512', 5000);
    const digest = digestOf(bytes, 'sha512');
    for (const [writer, reader] of [
      ['distribution', 'berth'],
      ['berth', 'distribution'],
    ] as const) {
      const repository = `sha512/${writer}`;
      await withRegistry(place, writer, async (client) => {
        await client.pushBlob(repository, blob(bytes, undefined, 'sha512'));
      });
      await withRegistry(place, reader, async (client) => {
        expect((await client.getBlob(repository, digest)).body.equals(bytes)).toBe(true);
      });
    }
  });
});
