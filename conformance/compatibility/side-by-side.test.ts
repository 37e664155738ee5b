import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noiseImage } from '../clients/raw/artifact.ts';
import { descriptor } from '../harness/content.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Running, startOn } from './servers.ts';

/** Both programs on one storage at the same time. */

const status = async (running: Running, name: string, reference: string) =>
  (await running.client.getManifest(name, reference)).status;

describe.each(['filesystem', 's3'] as const)('berth and distribution on one storage: %s', (storage) => {
  let folder: TemporaryFolder;
  let berth: Running;
  let distribution: Running;

  beforeAll(async () => {
    folder = await temporaryFolder('berth-side-by-side-');
    const place = { storage, dataDir: `${folder.path}/data` };
    [berth, distribution] = await Promise.all([startOn(place, 'berth'), startOn(place, 'distribution')]);
  });

  afterAll(async () => {
    await berth?.stop();
    await distribution?.stop();
    await folder?.remove();
  });

  test('a tag that one of them moves is at once what the other one serves', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const [writer, reader] = turn % 2 === 0 ? [berth, distribution] : [distribution, berth];
      const image = noiseImage(`turn ${turn}`);
      await writer.client.push('shared/moved', image, 'moving');
      const reply = await reader.client.getManifest('shared/moved', 'moving');
      expect(reply.header('Docker-Content-Digest'), `turn ${turn}`).toBe(image.manifest.digest);
      expect(reply.body.equals(image.manifest.bytes)).toBe(true);
      for (const blob of image.blobs) {
        expect((await reader.client.getBlob('shared/moved', blob.digest)).body.equals(blob.bytes)).toBe(true);
      }
    }
  });

  test('a tag that one of them adds is at once in the list of the other one', async () => {
    const image = noiseImage('tagged by both');
    const tags: string[] = [];
    for (const [turn, [writer, reader]] of Array(10)
      .fill([
        [berth, distribution],
        [distribution, berth],
      ])
      .flat()
      .entries()) {
      tags.push(`v${turn}`);
      await writer.client.push('shared/tags', image, `v${turn}`);
      expect((await reader.client.tags('shared/tags')).sort()).toEqual(tags.toSorted());
    }
  });

  test('a repository that one of them makes is at once in the catalogue of the other one', async () => {
    await berth.client.push('shared/of-berth', noiseImage('of berth'), 'v1');
    expect(await distribution.client.catalog()).toContain('shared/of-berth');
    await distribution.client.push('shared/of-distribution', noiseImage('of distribution'), 'v1');
    expect(await berth.client.catalog()).toContain('shared/of-distribution');
  });

  test('a manifest that one of them deletes is at once gone from the other one, with its tags', async () => {
    for (const [turn, [writer, reader]] of (
      [
        [berth, distribution],
        [distribution, berth],
      ] as const
    ).entries()) {
      const image = noiseImage(`deleted in turn ${turn}`);
      await writer.client.push('shared/deleted', image, `v${turn}`);
      expect(await status(reader, 'shared/deleted', `v${turn}`)).toBe(200);
      expect(await status(reader, 'shared/deleted', image.manifest.digest)).toBe(200);
      await writer.client.expect(202, 'DELETE', `/v2/shared/deleted/manifests/${image.manifest.digest}`);
      expect(await status(reader, 'shared/deleted', `v${turn}`)).toBe(404);
      expect(await status(reader, 'shared/deleted', image.manifest.digest)).toBe(404);
    }
  });

  test('a blob that distribution deletes is at once gone from berth', async () => {
    const image = noiseImage('a blob to be deleted');
    await distribution.client.push('shared/blobs', image, 'v1');
    const digest = image.blobs[0]?.digest ?? '';
    expect((await berth.client.getBlob('shared/blobs', digest)).status).toBe(200);
    await distribution.client.expect(202, 'DELETE', `/v2/shared/blobs/blobs/${digest}`);
    expect((await berth.client.getBlob('shared/blobs', digest)).status).toBe(404);
    expect((await berth.client.request('HEAD', `/v2/shared/blobs/blobs/${digest}`)).status).toBe(404);
  });

  test('what refers to an image is listed by berth, whoever took it', async () => {
    const subject = noiseImage('the subject');
    const digests: string[] = [];
    for (const [turn, writer] of [distribution, berth, distribution].entries()) {
      const signature = noiseImage(`signature ${turn}`, { fields: { subject: descriptor(subject.manifest) } });
      await writer.client.push('shared/referred', signature);
      digests.push(signature.manifest.digest);
      const reply = await berth.client.expect(200, 'GET', `/v2/shared/referred/referrers/${subject.manifest.digest}`);
      const listed = (reply.json() as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest);
      expect(listed.sort(), `turn ${turn}`).toEqual(digests.toSorted());
    }
  });
});
