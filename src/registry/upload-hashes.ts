import { createHash, type Hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type Digest, type DigestAlgorithm, digestFromHash } from '../oci/digest.ts';

/** The hash over the first `size` bytes of an upload. */
export interface RunningHash {
  readonly algorithm: DigestAlgorithm;
  readonly hash: Hash;
  size: number;
}

/** Sessions whose hash is remembered; of the others, the bytes received are read once more when they end. */
const maxSessions = 10_000;

/**
 * The hashes of uploads that go on, so that bytes are hashed while they stream and not read again. A hash cannot be
 * written down (Node does not export its state), so it lives in this process only. It is good for the version of the
 * kept bytes that it was left with; other processes may have made another one meanwhile.
 */
export interface UploadHashes {
  /**
   * Takes the hash of a session if it stands for that version of its bytes; a session without bytes gets a new one.
   *
   * @param algorithm only this one will do
   */
  take(id: string, version: string, size: number, algorithm?: DigestAlgorithm): RunningHash | undefined;
  /** Gives it back for the next request. */
  keep(id: string, version: string, hash: RunningHash): void;
  /** The version for which it is kept, if the session's bytes had that digest then. */
  versionOf(id: string, digest: Digest): string | undefined;
  forget(id: string): void;
}

export function createUploadHashes(): UploadHashes {
  const hashes = new LRUCache<string, { version: string; hash: RunningHash }>({ max: maxSessions });
  return {
    take(id, version, size, algorithm) {
      const { version: known, hash } = hashes.get(id) ?? {};
      hashes.delete(id);
      if (size === 0) return newHash(algorithm ?? hash?.algorithm ?? 'sha256');
      if (known !== version || hash?.size !== size) return undefined;
      return algorithm === undefined || algorithm === hash.algorithm ? hash : undefined;
    },
    keep: (id, version, hash) => void hashes.set(id, { version, hash }),
    versionOf(id, digest) {
      const { version, hash } = hashes.get(id) ?? {};
      return hash !== undefined && hash.size > 0 && digestSoFar(hash) === digest ? version : undefined;
    },
    forget: (id) => void hashes.delete(id),
  };
}

export function newHash(algorithm: DigestAlgorithm): RunningHash {
  return { algorithm, hash: createHash(algorithm), size: 0 };
}

export function update(running: RunningHash, chunk: Uint8Array): void {
  running.hash.update(chunk);
  running.size += chunk.length;
}

/** The digest of what was hashed up to now; more may be added afterwards. */
export function digestSoFar({ algorithm, hash }: RunningHash): Digest {
  return digestFromHash(algorithm, hash.copy());
}
