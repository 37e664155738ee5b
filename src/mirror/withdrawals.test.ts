import { afterAll, beforeAll, expect, test } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { digestOf } from '../oci/digest.ts';
import { parseTag } from '../oci/name.ts';
import { latest, mirrorOver } from './testing/mirror-over.ts';
import { imageOf, startUpstreamRegistry, type UpstreamRegistry } from './testing/upstream-registry.ts';
import { withWithdrawals } from './withdrawals.ts';

const [theirs, ours] = [imageOf('theirs'), imageOf('ours')];
const name = 'docker.io/team/app';
const pushed = parseTag('pushed');

let upstream: UpstreamRegistry;
beforeAll(async () => {
  upstream = await startUpstreamRegistry();
  upstream.push('team/app', theirs, 'latest');
});
afterAll(() => upstream.close());

async function* bodyOf(bytes: Uint8Array) {
  yield bytes;
}

/** A mirror that has one image, and the registry as it is without the mirror. */
async function mirrored() {
  const driver = createInMemoryDriver();
  const mirror = await mirrorOver(driver, [upstream.url]);
  const repository = mirror.repository(name);
  await repository.manifests.get(latest);
  const plain = withWithdrawals(mirror.hosted, mirror.shared).repository(repository.name);
  const again = () => mirrorOver(driver, [upstream.url], { mirror: { marks: mirror.shared } });
  return { mirror, plain, again };
}

test('what is pushed while a prefix is no upstream’s is hosted when it is one again', async () => {
  const { mirror, plain, again } = await mirrored();
  for (const blob of ours.blobs) await plain.uploads.put(digestOf(blob), bodyOf(blob));
  await plain.manifests.put(pushed, ours.manifest, { mediaType: undefined });
  expect(await mirror.shared.isClaimed(plain.name)).toBe(false);
  const { repository } = await again();
  upstream.requests.length = 0;
  expect((await repository(name).manifests.get(pushed)).descriptor.digest).toBe(ours.digest);
  // It goes on to be pushed to, and what had come from the upstream stays with the rest.
  await repository(name).manifests.put(latest, ours.manifest, { mediaType: undefined });
  expect((await repository(name).manifests.get(latest)).descriptor.digest).toBe(ours.digest);
  expect(upstream.requests).toEqual([]);
});

test('a push that is refused leaves it to the mirror', async () => {
  const { mirror, plain, again } = await mirrored();
  const invalid = Buffer.from('no manifest');
  await expect(plain.manifests.put(pushed, invalid, { mediaType: undefined })).rejects.toThrow();
  expect(await mirror.shared.isClaimed(plain.name)).toBe(true);
  const { repository } = await again();
  await expect(repository(name).uploads.create()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});
