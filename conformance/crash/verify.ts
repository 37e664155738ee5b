import { expect } from 'vitest';
import type { RegistryClient } from '../clients/raw/registry-client.ts';
import { digestOf } from '../harness/content.ts';
import type { Ledger } from './ledger.ts';
import { endOf, goOn } from './workload.ts';

/** How many requests are under way at the same time. */
const width = 16;

/** Holds a registry that has come up again against the ledger. @returns everything that must not be */
export async function verify(client: RegistryClient, ledger: Ledger): Promise<Error[]> {
  return [
    ...(await verifyBlobs(client, ledger)),
    ...(await verifyManifests(client, ledger)),
    ...(await verifyTags(client, ledger)),
    ...(await verifyUploads(client, ledger)),
  ];
}

/** What was acknowledged is there; what was not is there whole or not at all. */
async function verifyBlobs(client: RegistryClient, ledger: Ledger): Promise<Error[]> {
  return forAll(ledger.blobs.values(), async ({ repository, value, acknowledged }) => {
    const path = `/v2/${repository}/blobs/${value.digest}`;
    const head = await client.request('HEAD', path);
    if (!acknowledged && head.status === 404) return;
    expect(head.status, `HEAD ${path}`).toBe(200);
    expect(head.header('Content-Length'), `HEAD ${path}`).toBe(String(value.bytes.length));
    const get = await client.expect(200, 'GET', path);
    expect(digestOf(get.body), `GET ${path}`).toBe(value.digest);
  });
}

/** As for blobs; and a manifest that is there has all its blobs. */
async function verifyManifests(client: RegistryClient, ledger: Ledger): Promise<Error[]> {
  return forAll(ledger.manifests.values(), async ({ repository, value, acknowledged }) => {
    const { digest } = value.manifest;
    const reply = await client.getManifest(repository, digest);
    if (!acknowledged && reply.status === 404) return;
    expect(reply.status, `${repository}@${digest}`).toBe(200);
    expect(digestOf(reply.body), `${repository}@${digest}`).toBe(digest);
    for (const blob of value.blobs) {
      const head = await client.request('HEAD', `/v2/${repository}/blobs/${blob.digest}`);
      expect(head.status, `${repository}: blob ${blob.digest} of manifest ${digest}`).toBe(200);
    }
  });
}

/** Each tag points to what it may point to, and the lists show the tags that can be pulled and no others. */
async function verifyTags(client: RegistryClient, ledger: Ledger): Promise<Error[]> {
  const catalog = new Set(await client.catalog());
  return forAll(ledger.repositories, async (repository) => {
    const present: string[] = [];
    for (const tag of ledger.tagsOf(repository)) {
      const reply = await client.getManifest(repository, tag);
      expect([200, 404], `${repository}:${tag}`).toContain(reply.status);
      const digest = reply.status === 200 ? digestOf(reply.body) : undefined;
      expect([...ledger.admissible(repository, tag)], `${repository}:${tag}`).toContain(digest);
      ledger.observed(repository, tag, digest);
      if (digest !== undefined) present.push(tag);
    }
    const listed = await client.request('GET', `/v2/${repository}/tags/list`);
    const tags = listed.status === 200 ? (listed.json() as { tags: string[] }).tags : [];
    expect([...tags].sort(), `tags of ${repository}`).toEqual(present);
    if (present.length > 0) expect(catalog, 'the catalogue').toContain(repository);
  });
}

/**
 * An upload that was cut off has all that was acknowledged, no more than was sent, and can be finished. Only where the
 * last request may have finished it, it may be gone, with the blob in its place.
 */
async function verifyUploads(client: RegistryClient, ledger: Ledger): Promise<Error[]> {
  const cutOff = ledger.uploads.splice(0).filter(({ value }) => !value.finished);
  return forAll(cutOff, async ({ repository, value: upload }) => {
    const { blob, received, sent } = upload;
    const path = new URL(upload.location, client.url).pathname + new URL(upload.location, client.url).search;
    const blobPath = `/v2/${repository}/blobs/${blob.digest}`;
    const status = await client.request('GET', path);
    const finishing = received === blob.bytes.length;
    if (!finishing || status.status !== 404) {
      expect(status.status, `GET ${path}, with ${received} bytes acknowledged`).toBe(204);
      upload.received = endOf(status.header('Range'));
      expect(upload.received, `${path}: bytes after the crash, of ${blob.bytes.length}`).toBeGreaterThanOrEqual(
        received,
      );
      expect(upload.received, `${path}: bytes after the crash, of ${blob.bytes.length}`).toBeLessThanOrEqual(sent);
      upload.location = path;
      await goOn(client, upload, 1);
    }
    expect(digestOf((await client.expect(200, 'GET', blobPath)).body), blobPath).toBe(blob.digest);
  });
}

/** Checks all items. @returns what the checks have thrown */
async function forAll<T>(items: Iterable<T>, check: (item: T) => Promise<void>): Promise<Error[]> {
  const iterator = items[Symbol.iterator]();
  const faults: Error[] = [];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
        await check(next.value).catch((error: Error) => faults.push(error));
      }
    }),
  );
  return faults;
}
