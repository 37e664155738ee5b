import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest, DigestAlgorithm } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/name.ts';
import type { Reference } from '../oci/reference.ts';

/**
 * What a registry does, without HTTP: the central contract. Storage over a driver implements it, and so do its
 * decorators (read-only, no deletion, a mirror, measurement, …); routes speak to it and to nothing else.
 *
 * Faults with a meaning in the protocol are thrown as `RegistryError`; each method names its own. Everything else that
 * is thrown is a fault inside the server.
 */
export interface Registry {
  /**
   * Never fails and reads nothing: a repository exists as soon as something is pushed to it.
   *
   * @param namespace the registry that the client means (`?ns=`), which only a mirror looks at
   */
  repository(name: RepositoryName, namespace?: string): Repository;

  /** The repositories that hold content, in byte order of the name (`a`, `a-b`, `a/b`), behind `after`. */
  repositories(options?: PageOptions): AsyncIterable<RepositoryName>;
}

export interface Repository {
  readonly name: RepositoryName;
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly referrers: Referrers;
}

export interface ListOptions extends PageOptions {
  /** Told, before the first entry comes, what a client should know of the list: that it may be out of date, and why. In one sentence. */
  onWarning?: (warning: string) => void;
}

export interface PageOptions {
  /** Exclusive; need not exist. */
  after?: string;
  /** How many will probably be read. Only a hint: more are given. */
  limit?: number;
  signal?: AbortSignal;
}

/** Bytes in order; a chunk may be used only until the next one is asked for. Must be read to its end or closed. */
export interface ContentReader extends AsyncIterable<Buffer> {
  /** Bytes it yields in all. */
  readonly size: number;
  close(): Promise<void>;
}

/** First and last byte, both inclusive and within the content. */
export interface ByteRange {
  start: number;
  end: number;
}

/** The blobs of one repository. */
export interface Blobs {
  /**
   * Says whether the repository holds a blob; its bytes are there when this resolves. Clients leave out the push of
   * what this says exists.
   *
   * @throws RegistryError BLOB_UNKNOWN, also when only other repositories have it
   */
  stat(digest: Digest, signal?: AbortSignal): Promise<Descriptor>;

  /**
   * The blob, to be opened. Cheaper than `stat`: what is known of a digest is not asked again, so that the bytes may
   * prove missing only when it is opened.
   *
   * @throws RegistryError BLOB_UNKNOWN as `stat`
   */
  get(digest: Digest, signal?: AbortSignal): Promise<Blob>;

  /**
   * Makes a blob of another repository one of this one, without moving bytes.
   *
   * @param from the repository that has it; undefined: any that `readable` admits
   * @param readable whether the caller may pull from a repository
   * @returns undefined when no such repository has it
   */
  mount(
    digest: Digest,
    from: RepositoryName | undefined,
    readable: (name: RepositoryName) => boolean | Promise<boolean>,
  ): Promise<Descriptor | undefined>;

  /**
   * Makes content that the storage has, wherever it came from, a blob of this repository.
   *
   * @param prove asked first, if the content is there, with its size; rejects when this repository has no claim to it
   * @returns undefined when the storage does not have it
   */
  adopt(digest: Digest, prove: (size: number) => Promise<void>): Promise<Descriptor | undefined>;

  /**
   * Takes the blob out of this repository; its bytes stay as long as another one may have it.
   *
   * @throws RegistryError BLOB_UNKNOWN, UNSUPPORTED when deletion is switched off
   */
  delete(digest: Digest): Promise<void>;
}

/** How a mirror came by something: it had it, it asked for it, or it had it and could not ask whether that is still right. */
export interface Mirroring {
  /** e.g. `docker.io` */
  readonly upstream: string;
  readonly outcome: 'hit' | 'miss' | 'stale';
}

export interface Blob {
  readonly descriptor: Descriptor;
  /** Of what is mirrored. */
  readonly mirroring?: Mirroring;
  /** Streams the blob or a part of it. @throws RegistryError BLOB_UNKNOWN when it vanished meanwhile */
  open(range?: ByteRange, signal?: AbortSignal): Promise<ContentReader>;
  /** A URL where the client can fetch it by GET, or undefined when it is to be streamed. */
  redirectUrl(signal?: AbortSignal): Promise<string | undefined>;
}

/** What a request body is to the registry: chunks in order. An early end of the body must reject. */
export interface Body extends AsyncIterable<Uint8Array> {
  /**
   * An object of the same storage that holds just these bytes, durably, and whose digest is known to be right: it may be
   * moved to its place where the bytes would be copied there. Whoever gives it does not need it any more.
   */
  readonly object?: { readonly path: string; readonly size: number };
}

/** The upload sessions of one repository. They survive the client and the server. */
export interface Uploads {
  /** @param algorithm what the digest will be made with, where the client said so; only a hint. */
  create(algorithm?: DigestAlgorithm): Promise<Upload>;

  /** Reads nothing: whether there is such a session is for the methods of the upload to find out. */
  find(id: string): Upload;

  /**
   * Publishes a blob that comes in one piece, without a session that anybody could go on with.
   *
   * @throws RegistryError DIGEST_INVALID when the content has another digest
   */
  put(digest: Digest, body: Body): Promise<Descriptor>;
}

/**
 * One session.
 *
 * @throws RegistryError each method: BLOB_UPLOAD_UNKNOWN when it ended or never was, also when it is another repository's
 */
export interface Upload {
  readonly id: string;

  /** Bytes received so far. */
  size(): Promise<number>;

  /**
   * Adds a body. When it resolves the bytes survive a power cut. When the body breaks off, what came before is kept and
   * the fault is thrown.
   *
   * @param start where the client thinks the body starts
   * @returns the size afterwards
   * @throws RegistryError UPLOAD_OUT_OF_ORDER when `start` is not the size, or when another request is writing
   */
  append(body: Body, start?: number): Promise<number>;

  /**
   * Adds a last body (if any), verifies the digest over all bytes and publishes the blob in this repository; the session is gone then.
   *
   * @throws RegistryError DIGEST_INVALID when the content has another digest (the session is dropped);
   *   UPLOAD_OUT_OF_ORDER as `append` (the session stays)
   */
  commit(digest: Digest, body?: Body, start?: number): Promise<Descriptor>;

  /** Drops the session and its bytes. */
  cancel(): Promise<void>;
}

export interface Manifest {
  /** `digest` is the one asked for, or for a tag the one it points to. `mediaType` has no parameters. */
  readonly descriptor: Descriptor;
  /** The bytes as they were pushed. Not to be changed. */
  readonly content: Buffer;
  /** What a client should know of it: that it may be out of date, and why. In one sentence. */
  readonly warning?: string;
  /** Of what is mirrored. */
  readonly mirroring?: Mirroring;
}

/** The manifests of one repository. */
export interface Manifests {
  /**
   * @param isHead whether it is only asked if it is there, as clients do that are about to push
   * @throws RegistryError MANIFEST_UNKNOWN
   */
  get(reference: Reference, signal?: AbortSignal, isHead?: boolean): Promise<Manifest>;

  /** Whether there is one. Where all were deleted, it may still say so. Asks the storage one thing. */
  any(signal?: AbortSignal): Promise<boolean>;

  /**
   * Validates and stores a manifest and then points the tags at it.
   *
   * @param reference its digest, or the tag it gets
   * @throws RegistryError MANIFEST_INVALID, DIGEST_INVALID
   * @throws RegistryErrors one MANIFEST_BLOB_UNKNOWN for each part that the repository lacks
   */
  put(reference: Reference, content: Buffer, options: PutManifestOptions): Promise<PutManifestResult>;

  /**
   * Deletes a manifest and every tag that points to it.
   *
   * @returns these tags
   * @throws RegistryError MANIFEST_UNKNOWN, UNSUPPORTED when deletion is switched off
   */
  delete(digest: Digest): Promise<readonly Tag[]>;
}

export interface PutManifestOptions {
  /** From `Content-Type`, without parameters; undefined: as the manifest itself says. */
  mediaType: string | undefined;
  /** Further tags (`?tag=`). */
  tags?: readonly Tag[];
}

export interface PutManifestResult {
  readonly descriptor: Descriptor;
  /** The digest of the manifest's `subject`, if it has one. */
  readonly subject: Digest | undefined;
}

/** The tags of one repository. */
export interface Tags {
  /**
   * In byte order, behind `after`. Fails before the first tag or not at all for want of the repository.
   *
   * @throws RegistryError NAME_UNKNOWN when the repository has no content
   */
  list(options?: ListOptions): AsyncIterable<Tag>;

  /**
   * Removes the tag; the manifest stays.
   *
   * @throws RegistryError MANIFEST_UNKNOWN, UNSUPPORTED when deletion is switched off
   */
  delete(tag: Tag): Promise<void>;
}

/** Which manifests of one repository have a given manifest as their `subject`. */
export interface Referrers {
  /**
   * In byte order of the digest. A subject that nobody refers to, or that does not exist, has none.
   *
   * @param artifactTypes only these; empty: all
   */
  list(subject: Digest, artifactTypes: readonly string[], options?: ListOptions): AsyncIterable<Descriptor>;
}
