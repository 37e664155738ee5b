import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Artifact, noiseImage } from '../clients/raw/artifact.ts';
import { locationOf, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob, descriptor } from '../harness/content.ts';
import { type Replicas, startReplicas } from './replicas.ts';

/** What is done through one replica, and what the other one must say before and at once after it. */
interface Row {
  name: string;
  check(writer: RegistryClient, reader: RegistryClient, repository: string, image: Artifact): Promise<void>;
}

const statusOf = async (client: RegistryClient, repository: string, reference: string) =>
  (await client.getManifest(repository, reference)).status;

async function referrersOf(client: RegistryClient, repository: string, { manifest }: Artifact): Promise<string[]> {
  const reply = await client.expect(200, 'GET', `/v2/${repository}/referrers/${manifest.digest}`);
  return (reply.json() as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest);
}

const rows: readonly Row[] = [
  {
    name: 'a blob is pushed',
    async check(writer, reader, repository) {
      const content = blob();
      const path = `/v2/${repository}/blobs/${content.digest}`;
      await reader.expect(404, 'HEAD', path);
      await writer.pushBlob(repository, content);
      await reader.expect(200, 'HEAD', path);
      expect((await reader.expect(200, 'GET', path)).body).toEqual(content.bytes);
    },
  },
  {
    name: 'a blob is mounted',
    async check(writer, reader, repository) {
      const content = blob();
      await writer.pushBlob(repository, content);
      const path = `/v2/${repository}/mounted/blobs`;
      await reader.expect(404, 'HEAD', `${path}/${content.digest}`);
      await writer.expect(201, 'POST', `${path}/uploads/?mount=${content.digest}&from=${repository}`);
      await reader.expect(200, 'HEAD', `${path}/${content.digest}`);
    },
  },
  {
    name: 'a blob is deleted',
    async check(writer, reader, repository) {
      const content = blob();
      const path = `/v2/${repository}/blobs/${content.digest}`;
      await writer.pushBlob(repository, content);
      await reader.expect(200, 'GET', path);
      await writer.expect(202, 'DELETE', path);
      await reader.expect(404, 'GET', path);
      await reader.expect(404, 'HEAD', path);
      await reader.pushBlob(repository, content);
      await writer.expect(200, 'GET', path);
    },
  },
  {
    name: 'a manifest is pushed by digest',
    async check(writer, reader, repository, image) {
      const { digest, bytes } = image.manifest;
      expect(await statusOf(reader, repository, digest)).toBe(404);
      await writer.push(repository, image);
      expect((await reader.getManifest(repository, digest)).body).toEqual(bytes);
    },
  },
  {
    name: 'a tag is added',
    async check(writer, reader, repository, image) {
      await writer.push(repository, image, 'first');
      expect(await reader.tags(repository)).toEqual(['first']);
      expect(await statusOf(reader, repository, 'new')).toBe(404);
      await writer.pushManifest(repository, 'new', image.manifest);
      expect((await reader.getManifest(repository, 'new')).body).toEqual(image.manifest.bytes);
      expect(await reader.tags(repository)).toEqual(['first', 'new']);
    },
  },
  {
    name: 'a tag is moved',
    async check(writer, reader, repository, image) {
      await writer.push(repository, image, 'moving');
      for (let turn = 0; turn < 5; turn++) {
        const next = noiseImage(`${repository}, turn ${turn}`);
        await reader.getManifest(repository, 'moving');
        await writer.push(repository, next, 'moving');
        expect((await reader.getManifest(repository, 'moving')).body).toEqual(next.manifest.bytes);
        const head = await reader.expect(200, 'HEAD', `/v2/${repository}/manifests/moving`);
        expect(head.header('docker-content-digest')).toBe(next.manifest.digest);
      }
    },
  },
  {
    name: 'a tag is deleted',
    async check(writer, reader, repository, image) {
      for (const tag of ['gone', 'kept']) await writer.push(repository, image, tag);
      expect(await statusOf(reader, repository, 'gone')).toBe(200);
      await writer.expect(202, 'DELETE', `/v2/${repository}/manifests/gone`);
      expect(await statusOf(reader, repository, 'gone')).toBe(404);
      expect(await reader.tags(repository)).toEqual(['kept']);
      expect(await statusOf(reader, repository, image.manifest.digest)).toBe(200);
    },
  },
  {
    name: 'a manifest is deleted, and its tags with it',
    async check(writer, reader, repository, image) {
      for (const tag of ['one', 'two']) await writer.push(repository, image, tag);
      expect(await statusOf(reader, repository, 'one')).toBe(200);
      await writer.expect(202, 'DELETE', `/v2/${repository}/manifests/${image.manifest.digest}`);
      for (const reference of ['one', 'two', image.manifest.digest]) {
        expect(await statusOf(reader, repository, reference)).toBe(404);
      }
      expect(await reader.tags(repository)).toEqual([]);
      await reader.push(repository, image, 'back');
      expect(await statusOf(writer, repository, 'back')).toBe(200);
      expect(await writer.tags(repository)).toEqual(['back']);
    },
  },
  {
    name: 'a repository is made',
    async check(writer, reader, repository, image) {
      expect(await reader.catalog()).not.toContain(repository);
      await writer.push(repository, image, 'v1');
      expect(await reader.catalog()).toContain(repository);
    },
  },
  {
    name: 'a referrer is added, and deleted',
    async check(writer, reader, repository, image) {
      await writer.push(repository, image);
      expect(await referrersOf(reader, repository, image)).toEqual([]);
      const signature = noiseImage(`of ${repository}`, { fields: { subject: descriptor(image.manifest) } });
      await writer.push(repository, signature);
      expect(await referrersOf(reader, repository, image)).toEqual([signature.manifest.digest]);
      await writer.expect(202, 'DELETE', `/v2/${repository}/manifests/${signature.manifest.digest}`);
      expect(await referrersOf(reader, repository, image)).toEqual([]);
    },
  },
  {
    name: 'an upload is begun, goes on, and is cancelled',
    async check(writer, reader, repository) {
      const location = pathOf(await writer.startUpload(repository));
      await reader.expect(204, 'GET', location);
      const body = Buffer.alloc(1000, 'x');
      const patched = pathOf(locationOf(await writer.expect(202, 'PATCH', location, { body })));
      expect((await reader.expect(204, 'GET', patched)).header('range')).toBe('0-999');
      await writer.expect(204, 'DELETE', patched);
      await reader.expect(404, 'GET', patched);
      await reader.expect(404, 'PATCH', patched, { body });
    },
  },
  {
    name: 'an upload is finished',
    async check(writer, reader, repository) {
      const { bytes, digest } = blob();
      const location = pathOf(await writer.startUpload(repository));
      await reader.expect(204, 'GET', location);
      await writer.expect(201, 'PUT', `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`, {
        body: bytes,
      });
      await reader.expect(404, 'GET', location);
      expect((await reader.getBlob(repository, digest)).body).toEqual(bytes);
    },
  },
];

/** A location without the replica that it names. */
function pathOf(location: string): string {
  const { pathname, search } = new URL(location, 'http://any');
  return pathname + search;
}

describe.each(['filesystem', 's3'] as const)(
  'what one replica was told, the other one knows at once: %s',
  (storage) => {
    let replicas: Replicas;
    beforeAll(async () => {
      replicas = await startReplicas(storage);
    });
    afterAll(() => replicas?.stop());

    for (const [at, { name, check }] of rows.entries()) {
      for (const [writer, reader] of [
        ['a', 'b'],
        ['b', 'a'],
      ] as const) {
        test(`${name} through ${writer}`, async () => {
          const repository = `fresh/r${at}-${writer}`;
          await check(replicas[writer].client, replicas[reader].client, repository, noiseImage(repository));
        });
      }
    }
  },
);
