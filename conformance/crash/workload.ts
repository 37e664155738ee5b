import { type Artifact, imageOf, noise } from '../clients/raw/artifact.ts';
import { locationOf, type RegistryClient, withDigest } from '../clients/raw/registry-client.ts';
import { blob, type Content } from '../harness/content.ts';
import type { ChunkedUpload, Ledger } from './ledger.ts';

/** Images that are pushed at the same time in one round. */
export const pushes = 200;
const repositories = 20;

/**
 * Pushes a round of small images at the same time, in the ways of all clients, and writes down what is acknowledged.
 *
 * Never rejects: each push ends where the registry stops answering. @returns what the pushes ended with, if not well
 */
export async function pushRound(
  client: RegistryClient,
  ledger: Ledger,
  round: number,
  random: () => number,
): Promise<unknown[]> {
  const work = Array.from({ length: pushes }, (_, at) => {
    const repository = `crash/r${at % repositories}`;
    const seed = `${round}/${at}`;
    const layer = blob(noise(seed, Math.floor(1000 + random() ** 3 * 200_000)));
    // All pushes of a repository push this one.
    const shared = blob(noise(`${round}/${repository}`, 20_000));
    return pushOne(client, ledger, { at, repository, layer, image: imageOf([layer, shared]) });
  });
  const results = await Promise.allSettled(work);
  return results.filter((result) => result.status === 'rejected').map((result) => result.reason as unknown);
}

interface Push {
  at: number;
  repository: string;
  layer: Content;
  image: Artifact;
}

async function pushOne(client: RegistryClient, ledger: Ledger, { at, repository, layer, image }: Push): Promise<void> {
  for (const each of image.blobs) {
    await ledger.blob(repository, each, () =>
      each === layer && at % 2 === 0
        ? pushInChunks(client, ledger, repository, each)
        : client.pushBlob(repository, each, at % 3 === 0 ? 'stream' : 'whole'),
    );
  }
  // One tag of its own, one that all pushes of the repository fight for.
  for (const tag of [`p${at}`, 'contended']) await pushTag(client, ledger, repository, tag, image);
  if (at % 5 === 0) {
    for (const text of ['second', 'third']) {
      const next = { ...image, manifest: annotated(image, text) };
      await pushTag(client, ledger, repository, `p${at}`, next);
    }
  }
  if (at % 10 === 1) {
    await ledger.tag(repository, `p${at}`, undefined, () =>
      client.expect(202, 'DELETE', `/v2/${repository}/manifests/p${at}`),
    );
  }
}

async function pushTag(
  client: RegistryClient,
  ledger: Ledger,
  repository: string,
  tag: string,
  image: Artifact,
): Promise<void> {
  const { manifest } = image;
  await ledger.manifest(repository, image, () =>
    ledger.tag(repository, tag, manifest.digest, () => client.pushManifest(repository, tag, manifest)),
  );
}

/** The manifest of an image with another annotation. */
function annotated(image: Artifact, text: string): Content {
  const fields = JSON.parse(image.manifest.bytes.toString()) as object;
  return blob(JSON.stringify({ ...fields, annotations: { text } }), image.manifest.mediaType);
}

async function pushInChunks(
  client: RegistryClient,
  ledger: Ledger,
  repository: string,
  content: Content,
): Promise<void> {
  const upload = {
    blob: content,
    location: await client.startUpload(repository),
    received: 0,
    sent: 0,
    finished: false,
  };
  ledger.uploads.push({ repository, value: upload, acknowledged: false });
  await goOn(client, upload, 10);
}

/** Sends what is missing of an upload in at most so many chunks, and finishes it. */
export async function goOn(client: RegistryClient, upload: ChunkedUpload, chunks: number): Promise<void> {
  const { bytes, digest } = upload.blob;
  const size = Math.ceil(bytes.length / chunks);
  while (upload.received < bytes.length) {
    const start = upload.received;
    const body = bytes.subarray(start, start + size);
    upload.sent = start + body.length;
    const headers = { 'Content-Range': `${start}-${upload.sent - 1}` };
    const reply = await client.expect(202, 'PATCH', upload.location, { headers, body });
    upload.location = locationOf(reply);
    upload.received = endOf(reply.header('Range'));
  }
  await client.expect(201, 'PUT', withDigest(upload.location, digest));
  upload.finished = true;
}

/** The number of bytes that a `Range` header of an upload stands for. It cannot say 0: `0-0` stands for 0 and 1. */
export function endOf(range: string | undefined): number {
  const last = Number(/^0-(\d+)$/.exec(range ?? '')?.[1] ?? Number.NaN);
  if (Number.isNaN(last)) throw new Error(`not a range of an upload: ${range}`);
  return last === 0 ? 0 : last + 1;
}
