import { type Digest, parseDigest } from './digest.ts';
import { type Tag, tryParseTag } from './name.ts';

/** What names a manifest in a repository. A tag never contains a colon, so the colon tells them apart. */
export type Reference = Tag | Digest;

export function isDigest(reference: Reference): reference is Digest {
  return reference.includes(':');
}

/**
 * The reference that `text` spells, or undefined when it is a tag that cannot exist.
 *
 * @throws RegistryError DIGEST_INVALID when it has a colon and is no digest
 */
export function parseReference(text: string): Reference | undefined {
  return text.includes(':') ? parseDigest(text) : tryParseTag(text);
}
