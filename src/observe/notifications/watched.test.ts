import { expect, test } from 'vitest';
import { createInMemoryDriver } from '../../../storage-drivers/inmemory/driver.ts';
import { digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import { parseRepositoryName, parseTag } from '../../oci/name.ts';
import { createStorageRegistry } from '../../registry/storage-registry.ts';
import { type Deed, watched } from './watched.ts';

function setUp() {
  const deeds: Deed[] = [];
  const registry = createStorageRegistry({ driver: createInMemoryDriver() });
  const open = (name: string) =>
    watched(registry.repository(parseRepositoryName(name)), (deed) => void deeds.push(deed));
  /** What was told since the last time. */
  const told = () => deeds.splice(0).map(({ action, tag, from }) => [action, tag, from]);
  return { repository: open('a/b'), other: open('c/d'), deeds, told };
}

const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: [] }));
const digest = digestOf(content);
async function* body() {
  yield content;
}
const options = { mediaType: undefined };

test('a manifest is told of once for each tag that it gets, and once without any', async () => {
  const { repository, told } = setUp();
  const [one, two] = [parseTag('one'), parseTag('two')];
  await repository.manifests.put(digest, content, options);
  expect(told()).toEqual([['push', undefined, undefined]]);
  await repository.manifests.put(one, content, { ...options, tags: [one, two] });
  expect(told()).toEqual([
    ['push', 'one', undefined],
    ['push', 'two', undefined],
  ]);
  await repository.tags.delete(two);
  await repository.manifests.delete(digest);
  expect(told()).toEqual([
    ['delete', 'two', undefined],
    ['delete', undefined, undefined],
    ['delete', 'one', undefined],
  ]);
});

test('what fails is not told of, and so are uploads that are not at their end', async () => {
  const { repository, other, told } = setUp();
  await expect(repository.manifests.get(digest)).rejects.toThrow();
  await expect(repository.blobs.stat(digest)).rejects.toThrow();
  await expect(repository.tags.delete(parseTag('none'))).rejects.toThrow();
  expect(await other.blobs.mount(digest, repository.name, () => true)).toBeUndefined();
  const upload = await repository.uploads.create();
  await upload.append(body());
  await upload.cancel();
  expect(told()).toEqual([]);
});

test('a blob is pushed however it comes, and mounted from where it was said to be', async () => {
  const { repository, other, told, deeds } = setUp();
  const { id } = await repository.uploads.create();
  await repository.uploads.find(id).commit(digest, body());
  await repository.uploads.put(digest, body());
  expect(deeds[0]?.descriptor).toEqual({ mediaType: 'application/octet-stream', digest, size: content.length });
  await other.blobs.mount(digest, repository.name, () => true);
  await other.blobs.mount(digest, undefined, (name) => name === repository.name);
  expect(told()).toEqual([
    ['push', undefined, undefined],
    ['push', undefined, undefined],
    ['mount', undefined, 'a/b'],
    ['mount', undefined, undefined],
  ]);
});
