import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestOf } from '../oci/digest.ts';
import { mediaTypes } from '../oci/media-type.ts';
import type { Repository } from '../registry/registry.ts';
import { mirrorOver } from './testing/mirror-over.ts';
import { startUpstreamRegistry, type UpstreamRegistry } from './testing/upstream-registry.ts';

const name = 'docker.io/team/app';
const subject = digestOf(Buffer.from('subject'));
const referrer = (text: string, artifactType: string): Descriptor => ({
  mediaType: mediaTypes.ociManifest,
  digest: digestOf(Buffer.from(text)),
  size: text.length,
  artifactType,
});
const all = [
  referrer('a', 'application/spdx'),
  referrer('b', 'application/signature'),
  referrer('c', 'application/spdx'),
];
const inOrder = all.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));

let upstream: UpstreamRegistry;
beforeAll(async () => {
  upstream = await startUpstreamRegistry();
});
beforeEach(() => {
  upstream.requests.length = 0;
  upstream.instead = (_, response) => {
    response.end(JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: all }));
    return true;
  };
});
afterAll(() => upstream.close());

async function listOf({ referrers }: Repository, ...types: string[]): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  for await (const descriptor of referrers.list(subject, types)) found.push(descriptor);
  return found;
}

test('are asked for once by all who ask at once, and serve for a while, whichever are wanted', async () => {
  const repository = (await mirrorOver(createInMemoryDriver(), [upstream.url])).repository(name);
  const lists = await Promise.all([1, 2, 3].map(() => listOf(repository)));
  for (const list of lists) expect(list).toEqual(inOrder);
  const spdx = inOrder.filter(({ artifactType }) => artifactType === 'application/spdx');
  expect(await listOf(repository, 'application/spdx')).toEqual(spdx);
  const behind: Descriptor[] = [];
  for await (const found of repository.referrers.list(subject, [], { after: inOrder[0]?.digest ?? '' })) {
    behind.push(found);
  }
  expect(behind).toEqual(inOrder.slice(1));
  expect(upstream.requests).toEqual([`GET team/app/referrers/${subject}`]);
});

test('of an upstream that does not let us in are not asked for again at once, and those that are kept are listed', async () => {
  upstream.instead = (_, response) => {
    response.writeHead(403).end();
    return true;
  };
  const { repository, events } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  for (let count = 0; count < 2; count += 1) expect(await listOf(repository(name))).toEqual([]);
  const warnings: string[] = [];
  const onWarning = (warning: string) => void warnings.push(warning);
  for await (const found of repository(name).referrers.list(subject, [], { onWarning })) throw new Error(found.digest);
  expect(warnings).toEqual([expect.stringContaining('docker.io could not be asked')]);
  expect(upstream.requests).toHaveLength(1);
  expect(events).toMatchObject([1, 2, 3].map(() => ({ outcome: 'stale', kind: 'referrers', reference: subject })));
});

test('of an upstream that is down are asked for each time', async () => {
  upstream.instead = (_, response) => {
    response.writeHead(503).end();
    return true;
  };
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  for (let count = 0; count < 2; count += 1) expect(await listOf(repository(name))).toEqual([]);
  expect(upstream.requests).toHaveLength(2);
});
