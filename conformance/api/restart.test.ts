import { randomBytes } from 'node:crypto';
import { afterAll, describe, expect, test } from 'vitest';
import { blob, descriptor, digestOf, index } from '../harness/content.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { registryIsGiven, startRegistry } from '../harness/under-test.ts';
import { expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { pushBlob, pushImage, pushManifest, startUpload, withQuery } from './push.ts';
import { checkEveryResponse, connect } from './registry.ts';

const repository = 'kept/well';

/** These start and end servers of their own, so they are left out when a registry is given. */
describe.skipIf(registryIsGiven)('what a server has acknowledged', () => {
  const folders: TemporaryFolder[] = [];
  afterAll(() => Promise.all(folders.map((folder) => folder.remove())));

  async function newDataDir(): Promise<string> {
    const folder = await temporaryFolder();
    folders.push(folder);
    return folder.path;
  }

  // With a secret of its own each server would refuse the other one’s upload locations (distribution).
  const options = { config: { http: { secret: 'the same after a restart' } } };

  for (const end of ['stop', 'kill'] as const) {
    test(`is there after ${end === 'stop' ? 'it was stopped' : 'it crashed'} [client]`, async () => {
      const dataDir = await newDataDir();
      const before = await startRegistry({ ...options, dataDir });
      const first = connect(before.url);
      const { manifest, layer } = await pushImage(first, repository, 'latest');
      const referrer = await pushManifest(first, repository, index([], { subject: descriptor(manifest) }));
      const gone = await pushBlob(first, repository);
      expectStatus(await first.request('DELETE', `/v2/${repository}/blobs/${gone.digest}`), 202);
      await before[end]();

      const after = await startRegistry({ ...options, dataDir });
      const second = connect(after.url);
      expect((await second.request('GET', `/v2/${repository}/manifests/latest`)).body).toEqual(manifest.bytes);
      expect((await second.request('GET', `/v2/${repository}/blobs/${layer.digest}`)).body).toEqual(layer.bytes);
      expectStatus(await second.request('HEAD', `/v2/${repository}/blobs/${gone.digest}`), 404);
      const tags = await second.request('GET', `/v2/${repository}/tags/list`);
      expect(tags.json()).toEqual({ name: repository, tags: ['latest'] });
      const catalog = await second.request('GET', '/v2/_catalog');
      expect(catalog.json()).toEqual({ repositories: [repository] });
      const referrers = await second.request('GET', `/v2/${repository}/referrers/${manifest.digest}`);
      expect(referrers.json()).toMatchObject({ manifests: [{ digest: referrer.digest }] });
      await after.stop();
      await before.stop();
    });

    test(`of a session goes on after ${end === 'stop' ? 'it was stopped' : 'it crashed'} [OCI end-5]`, async () => {
      const dataDir = await newDataDir();
      const bytes = randomBytes(500_000);
      const before = await startRegistry({ ...options, dataDir });
      const first = connect(before.url);
      const opened = await startUpload(first, repository);
      const patched = await first.request('PATCH', opened, { body: bytes.subarray(0, 200_000) });
      expectStatus(patched, 202);
      await before[end]();

      const after = await startRegistry({ ...options, dataDir });
      const second = connect(after.url);
      const status = await second.request('GET', locationOf(patched));
      expectStatus(status, 204);
      expectHeaders(status, { Range: '0-199999' });
      const rest = await second.request('PATCH', locationOf(status), { body: bytes.subarray(200_000) });
      expectStatus(rest, 202);
      const target = withQuery(locationOf(rest), `digest=${digestOf(bytes)}`);
      expectStatus(await second.request('PUT', target), 201);
      const got = await second.request('GET', `/v2/${repository}/blobs/${digestOf(bytes)}`);
      expect(got.body.equals(bytes)).toBe(true);
      await after.stop();
      await before.stop();
    });
  }

  test('is seen by another server on the same storage at once [berth]', async () => {
    const dataDir = await newDataDir();
    const servers = await Promise.all([1, 2].map(() => startRegistry({ ...options, dataDir })));
    const [here, there] = servers.map(({ url }) => connect(url));
    if (here === undefined || there === undefined) throw new TypeError('two servers were started');
    for (let i = 0; i < 10; i++) {
      const [writer, reader] = i % 2 === 0 ? [here, there] : [there, here];
      const { manifest, layer } = await pushImage(writer, repository, 'moving');
      expect((await reader.request('GET', `/v2/${repository}/manifests/moving`)).body).toEqual(manifest.bytes);
      expectStatus(await reader.request('HEAD', `/v2/${repository}/blobs/${layer.digest}`), 200);
      await pushManifest(writer, repository, manifest, `tag-${i}`);
      const tags = await reader.request('GET', `/v2/${repository}/tags/list?last=moving`);
      expect(tags.json()).toMatchObject({ tags: Array.from({ length: i + 1 }, (_, n) => `tag-${n}`) });
    }
    const { digest } = await pushManifest(here, repository, index([]), 'deleted');
    expectStatus(await there.request('GET', `/v2/${repository}/manifests/deleted`), 200);
    expectStatus(await here.request('DELETE', `/v2/${repository}/manifests/${digest}`), 202);
    expectStatus(await there.request('GET', `/v2/${repository}/manifests/deleted`), 404);
    expectStatus(await there.request('GET', `/v2/${repository}/manifests/${digest}`), 404);
    await Promise.all(servers.map((server) => server.stop()));
  });

  test('of a session can be continued through another server on the same storage [berth]', async () => {
    const dataDir = await newDataDir();
    const servers = await Promise.all([1, 2].map(() => startRegistry({ ...options, dataDir })));
    const clients = servers.map(({ url }) => connect(url));
    const { bytes, digest } = blob(randomBytes(90_000));
    let location = '';
    for (const [i, start] of [0, 30_000, 60_000].entries()) {
      const client = clients[i % 2];
      if (client === undefined) throw new TypeError('two servers were started');
      if (i === 0) location = await startUpload(client, repository);
      const reply = await client.request('PATCH', location, { body: bytes.subarray(start, start + 30_000) });
      expectStatus(reply, 202);
      location = locationOf(reply);
    }
    const reply = await clients[1]?.request('PUT', withQuery(location, `digest=${digest}`));
    expect(reply?.status).toBe(201);
    await Promise.all(servers.map((server) => server.stop()));
  });
});

checkEveryResponse();
