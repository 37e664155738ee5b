import { createHash, type Hash } from 'node:crypto';
import { RegistryError } from './errors.ts';

/**
 * A digest `algorithm:encoded` whose algorithm is one we can compute and whose encoded part has the right form
 * (image-spec, "Digests"). Only {@link parseDigest} and {@link digestOf} make one.
 */
export type Digest = string & { readonly __digest: true };

/** The registered algorithms that berth can compute. */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** Length of the hexadecimal part. */
const encodedLength: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 };

const grammar = /^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+$/;
const hexadecimal = /^[a-f0-9]+$/;

export function isDigestAlgorithm(text: string): text is DigestAlgorithm {
  return Object.hasOwn(encodedLength, text);
}

/** The digest that `text` spells, or undefined when it spells none. */
export function tryParseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(':');
  const algorithm = text.slice(0, colon);
  if (colon < 0 || !isDigestAlgorithm(algorithm)) return undefined;
  const encoded = text.slice(colon + 1);
  return encoded.length === encodedLength[algorithm] && hexadecimal.test(encoded) ? (text as Digest) : undefined;
}

/** @throws RegistryError DIGEST_INVALID, saying whether the form or the algorithm is at fault. */
export function parseDigest(text: string): Digest {
  const digest = tryParseDigest(text);
  if (digest !== undefined) return digest;
  const algorithm = text.slice(0, Math.max(0, text.indexOf(':')));
  const message =
    grammar.test(text) && !isDigestAlgorithm(algorithm)
      ? `digest algorithm ${algorithm} is not supported; use sha256 or sha512`
      : 'digest must be sha256: followed by 64, or sha512: followed by 128, lower-case hexadecimal digits';
  throw new RegistryError('DIGEST_INVALID', { message, detail: { digest: text } });
}

/** @throws RegistryError DIGEST_INVALID */
export function parseDigestAlgorithm(text: string): DigestAlgorithm {
  if (isDigestAlgorithm(text)) return text;
  throw new RegistryError('DIGEST_INVALID', {
    message: 'digest algorithm is not supported; use sha256 or sha512',
    detail: { algorithm: text },
  });
}

export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm;
}

/** The part behind the colon. */
export function encodedOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

export function digestOf(content: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): Digest {
  return digestFromHash(algorithm, createHash(algorithm).update(content));
}

/** Ends `hash`, which must be of that algorithm. */
export function digestFromHash(algorithm: DigestAlgorithm, hash: Hash): Digest {
  return `${algorithm}:${hash.digest('hex')}` as Digest;
}
