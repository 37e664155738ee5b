import type { Descriptor } from '../../oci/descriptor.ts';
import { algorithmOf, type Digest, encodedOf } from '../../oci/digest.ts';
import { isRegistryError } from '../../oci/errors.ts';
import { type ManifestInfo, readStoredManifest } from '../../oci/manifest.ts';
import { isNonDistributable, kindOf, manifestTypes } from '../../oci/media-type.ts';
import { parseTag } from '../../oci/name.ts';
import { isDigest, type Reference } from '../../oci/reference.ts';
import type { KeyedLock } from '../../registry/keyed-lock.ts';
import type { Manifest, Registry, Repository } from '../../registry/registry.ts';
import { unlessUnknown } from '../faults.ts';
import type { Mirrored } from '../naming.ts';
import type { Slots } from '../slots.ts';
import { untilAborted } from '../until-aborted.ts';
import { isUpstreamError } from '../upstream/errors.ts';
import type { Upstream } from '../upstream.ts';
import { all } from './all.ts';
import type { ListedImage } from './image-list.ts';
import { choose, formatPlatform } from './platform.ts';

/** Blobs, and their bytes. */
export interface Amount {
  count: number;
  bytes: number;
}

export interface ImageFetchOptions {
  /** As in `SyncOptions`, and so the others. */
  readonly registry: Registry;
  readonly store: Registry;
  readonly settled: (digest: Digest) => Promise<void>;
  readonly referrers: boolean;
  readonly dryRun: boolean;
  readonly signal: AbortSignal;
  /** For what is asked of upstreams and of the storage. */
  readonly slots: Slots;
  /** A blob that several images share comes for the first of them; the others then have it at once. */
  readonly blobLock: KeyedLock;
  /** Blobs that a dry run has counted already: they would come once. */
  readonly counted: Set<Digest>;
  /** Told of bytes that have come, and of those that have become known to be missing. */
  onBytes(done: number, total: number): void;
}

/** Under what cosign keeps signatures, attestations and bills of materials where it does not use referrers. */
const cosignSuffixes = ['sig', 'att', 'sbom'];

/** One image on its way: its manifests, those of its platforms, and their blobs. */
export class ImageFetch {
  readonly fetched: Amount = { count: 0, bytes: 0 };
  readonly kept: Amount = { count: 0, bytes: 0 };
  readonly remarks: string[] = [];
  readonly #options: ImageFetchOptions;
  readonly #image: ListedImage;
  readonly #repository: Repository;
  readonly #stored: Repository;
  readonly #seen = new Set<string>();

  constructor(image: ListedImage, options: ImageFetchOptions) {
    this.#options = options;
    this.#image = image;
    this.#repository = repositoryOf(options.registry, image.mirrored);
    this.#stored = options.store.repository(image.mirrored.local);
  }

  /** @throws Error when something of it did not come; all else of it has come nevertheless */
  async fetch(reference: Reference): Promise<void> {
    const manifest = await this.#manifest(reference);
    await this.#parts(manifest);
    // What was there before is better than nothing, but it is not what was asked for.
    if (manifest.warning !== undefined) throw new Error(manifest.warning);
  }

  async #manifest(reference: Reference): Promise<Manifest> {
    const { dryRun } = this.#options;
    return this.#ask(() => (dryRun ? this.#look(reference) : this.#repository.manifests.get(reference)));
  }

  /** Without storing it. */
  async #look(reference: Reference): Promise<Manifest> {
    const { upstream, remote } = this.#image.mirrored;
    const { signal } = this.#options;
    const digest = isDigest(reference)
      ? reference
      : (await upstream.client.headManifest(remote, reference, manifestTypes, signal)).digest;
    const kept = await unlessUnknown(this.#stored.manifests.get(digest), 'MANIFEST_UNKNOWN');
    return kept ?? upstream.client.getManifest(remote, digest, manifestTypes, signal);
  }

  async #parts({ descriptor, content }: Manifest): Promise<void> {
    if (this.#isSeen(descriptor.digest)) return;
    const info = readStoredManifest(content);
    const blobs = info.blobs.filter(({ mediaType, urls }) => !isNonDistributable(mediaType) && urls === undefined);
    await all([
      ...blobs.map((blob) => this.#blob(blob)),
      ...this.#chosen(info).map((child) => this.#child(child)),
      ...(this.#options.referrers ? [this.#referrers(descriptor.digest)] : []),
    ]);
  }

  #chosen({ kind, manifests }: ManifestInfo): readonly Descriptor[] {
    const { platforms } = this.#image;
    if (kind !== 'index') return manifests;
    const { chosen, missing } = choose(manifests, platforms);
    if (missing.length === 0) return chosen;
    const lacks = `there is none for ${missing.map(formatPlatform).join(', ')}`;
    if (chosen.length === 0) throw new Error(lacks);
    this.remarks.push(lacks);
    return chosen;
  }

  async #child(child: Descriptor): Promise<void> {
    // BuildKit's caches are indexes of blobs.
    if (kindOf(child.mediaType) === undefined) await this.#blob(child);
    else await this.#parts(await this.#manifest(child.digest));
  }

  async #referrers(digest: Digest): Promise<void> {
    const { signal } = this.#options;
    const found = await this.#ask(async () => {
      const referrers: Descriptor[] = [];
      for await (const referrer of this.#repository.referrers.list(digest, [], { signal })) referrers.push(referrer);
      return referrers;
    });
    const tags = cosignSuffixes.map((suffix) => parseTag(`${algorithmOf(digest)}-${encodedOf(digest)}.${suffix}`));
    await all([
      ...found.map((referrer) => this.#child(referrer)),
      ...tags.map(async (tag) => {
        const manifest = await this.#manifest(tag).catch(noneIfMissing);
        if (manifest !== undefined) await this.#parts(manifest);
      }),
    ]);
  }

  #blob(blob: Descriptor): Promise<void> {
    if (this.#isSeen(blob.digest)) return Promise.resolve();
    return this.#options.blobLock.exclusive(blob.digest, () => this.#blobAlone(blob));
  }

  async #blobAlone({ digest, size }: Descriptor): Promise<void> {
    const { dryRun, counted, onBytes, signal } = this.#options;
    if (counted.has(digest) || (await this.#ask(() => this.#isStored(digest)))) {
      count(this.kept, size);
      return;
    }
    onBytes(0, size);
    if (dryRun) {
      counted.add(digest);
      count(this.fetched, size);
      return;
    }
    await this.#ask(async () => {
      const blob = await untilAborted(this.#repository.blobs.get(digest, signal), signal);
      // Another repository may have had it.
      if (await this.#isStored(digest)) {
        onBytes(0, -size);
        count(this.kept, size);
        return;
      }
      const reader = await blob.open(undefined, signal);
      try {
        for await (const chunk of reader) onBytes(chunk.length, 0);
      } finally {
        await reader.close();
      }
      await this.#options.settled(digest);
      if (!(await this.#isStored(digest))) throw new Error(`the blob ${digest} has come, but could not be kept`);
      count(this.fetched, size);
    });
  }

  async #isStored(digest: Digest): Promise<boolean> {
    return (await unlessUnknown(this.#stored.blobs.stat(digest), 'BLOB_UNKNOWN')) !== undefined;
  }

  #ask<T>(task: () => Promise<T>): Promise<T> {
    const { slots, signal } = this.#options;
    return slots.run(() => untilAborted(task(), signal), signal);
  }

  #isSeen(digest: Digest): boolean {
    const seen = this.#seen.has(digest);
    this.#seen.add(digest);
    return seen;
  }
}

function count(amount: Amount, size: number): void {
  amount.count += 1;
  amount.bytes += size;
}

function noneIfMissing(error: unknown): undefined {
  if (isRegistryError(error, 'MANIFEST_UNKNOWN') || isUpstreamError(error, 'missing')) return undefined;
  throw error;
}

/** Named as containerd does it, so that nothing depends on prefixes and on which upstream is the default. */
export function repositoryOf(registry: Registry, { upstream, remote }: Mirrored<Upstream>): Repository {
  return registry.repository(remote, upstream.name);
}
