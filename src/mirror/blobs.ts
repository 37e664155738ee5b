import { createReadStream } from 'node:fs';
import { type Descriptor, octetStream } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Blob, Blobs, ByteRange, ContentReader, Registry } from '../registry/registry.ts';
import type { Download, UpstreamBlob } from './downloads/download.ts';
import type { Downloads } from './downloads/downloads.ts';
import type { GrowingFile } from './downloads/growing-file.ts';
import { registryError, unlessUnknown } from './faults.ts';
import type { Mirrored } from './naming.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, Upstream } from './upstream.ts';

export interface MirroredBlobsOptions {
  readonly store: Registry;
  readonly downloads: Downloads;
  readonly onEvent: (event: MirrorEvent) => void;
}

/** The blobs of one repository of an upstream: from the storage where they are, else from the upstream, once for all who ask. */
export function createMirroredBlobs(
  mirrored: Mirrored<Upstream>,
  options: MirroredBlobsOptions,
): Pick<Blobs, 'stat' | 'get'> {
  const { store, downloads, onEvent } = options;
  const { upstream, remote, local } = mirrored;
  const kept = store.repository(local).blobs;
  const report = (outcome: MirrorEvent['outcome'], descriptor: Descriptor) => {
    const { name } = upstream;
    onEvent({ outcome, kind: 'blob', upstream: name, repository: local, reference: descriptor.digest, descriptor });
  };

  async function open(digest: Digest, start: number, signal?: AbortSignal): Promise<UpstreamBlob> {
    const blob = await upstream.client.openBlob(remote, digest, { start }, signal);
    const { size } = blob;
    if (size !== undefined) return { ...blob, size, close: async () => blob.close() };
    blob.close();
    throw new RegistryError('UNAVAILABLE', { message: `${upstream.name} does not say how long the blob ${digest} is` });
  }

  /** The first of the repositories that it is for gets it, the others share it. */
  async function keep(file: GrowingFile, digest: Digest, repositories: Iterable<RepositoryName>): Promise<void> {
    const [first = local, ...others] = repositories;
    const content = createReadStream(file.path, { highWaterMark: 1024 * 1024 });
    await store.repository(first).uploads.put(digest, content);
    for (const other of others) await store.repository(other).blobs.adopt(digest, async () => {});
  }

  /** That the upstream has it in this very repository: what others have is not for who may read this one. */
  async function prove(digest: Digest): Promise<void> {
    (await upstream.client.openBlob(remote, digest)).close();
  }

  async function begin(digest: Digest): Promise<Download> {
    const download = await downloads.of(digest, {
      open: (start, aborted) => open(digest, start, aborted),
      isTransient: (error) => isUpstreamError(error, 'unreachable'),
      store: (file, repositories) => keep(file, digest, repositories),
    });
    return join(download, digest);
  }

  async function join(download: Download, digest: Digest): Promise<Download> {
    // Whoever began it has asked the upstream for it.
    if (download.repositories.size > 0 && !download.repositories.has(local)) await prove(digest);
    download.repositories.add(local);
    return download;
  }

  /** The blob as it is kept, or as it comes. */
  async function find(digest: Digest, signal?: AbortSignal): Promise<Blob | Download> {
    try {
      for (;;) {
        const { ended } = downloads;
        const running = await downloads.find(digest);
        if (running !== undefined) return await join(running, digest);
        const found = await unlessUnknown(kept.get(digest, signal), 'BLOB_UNKNOWN');
        if (found !== undefined) return found;
        // One that was under way when we looked may be there now.
        if (downloads.ended !== ended) continue;
        if (!upstream.admits(remote)) throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
        if ((await kept.adopt(digest, () => prove(digest))) === undefined) return await begin(digest);
      }
    } catch (error) {
      throw registryError(error, 'BLOB_UNKNOWN', { digest });
    }
  }

  function read(download: Download, range?: ByteRange, signal?: AbortSignal): ContentReader {
    return download.read(range ?? { start: 0, end: download.size - 1 }, signal);
  }

  /** What was evicted since it was found comes once more. */
  async function openAgain(blob: Blob, range?: ByteRange, signal?: AbortSignal): Promise<ContentReader> {
    const reader = await unlessUnknown(blob.open(range, signal), 'BLOB_UNKNOWN');
    if (reader !== undefined) return reader;
    const found = await find(blob.descriptor.digest, signal);
    return 'descriptor' in found ? found.open(range, signal) : read(found, range, signal);
  }

  function descriptorOf(digest: Digest, { size }: Download): Descriptor {
    return { mediaType: octetStream, digest, size };
  }

  return {
    async stat(digest, signal) {
      const found = await find(digest, signal);
      return 'descriptor' in found ? found.descriptor : descriptorOf(digest, found);
    },

    async get(digest, signal) {
      const found = await find(digest, signal);
      if ('descriptor' in found) {
        report('hit', found.descriptor);
        return { ...found, open: (range, aborted) => openAgain(found, range, aborted) };
      }
      const descriptor = descriptorOf(digest, found);
      report('miss', descriptor);
      return {
        descriptor,
        open: async (range, aborted) => read(found, range, aborted),
        redirectUrl: async () => undefined,
      };
    },
  };
}
