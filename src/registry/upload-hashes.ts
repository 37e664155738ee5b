import { createHash, type Hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { DigestAlgorithm } from '../oci/digest.ts';

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
 * written down (Node does not export its state), so it lives in this process only. It is good as long as the session
 * has as many bytes as it has seen: uploads only ever grow, so then it has seen them all.
 */
export interface UploadHashes {
  /** Takes the hash of a session if it covers exactly `size` bytes; a session without bytes gets a new one. */
  take(id: string, size: number, algorithm?: DigestAlgorithm): RunningHash | undefined;
  /** Gives it back for the next request. */
  keep(id: string, hash: RunningHash): void;
}

export function createUploadHashes(): UploadHashes {
  const hashes = new LRUCache<string, RunningHash>({ max: maxSessions });
  return {
    take(id, size, algorithm) {
      const running = hashes.get(id);
      hashes.delete(id);
      if (running?.size === size && (algorithm === undefined || algorithm === running.algorithm)) return running;
      return size === 0 ? newHash(algorithm ?? running?.algorithm ?? 'sha256') : undefined;
    },
    keep: (id, hash) => void hashes.set(id, hash),
  };
}

export function newHash(algorithm: DigestAlgorithm): RunningHash {
  return { algorithm, hash: createHash(algorithm), size: 0 };
}

export function update(running: RunningHash, chunk: Uint8Array): void {
  running.hash.update(chunk);
  running.size += chunk.length;
}
