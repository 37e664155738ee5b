import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What a mirror has in its storage, a folder. */
export interface Kept {
  /** Digests of all blobs, manifests among them, sorted. */
  readonly blobs: readonly string[];
  /** Digests by tag, of all repositories. */
  readonly tags: Readonly<Record<string, string>>;
}

/**
 * Reads a storage, and insists that all in it is right: each blob has its digest, each link leads to a blob, and nothing is half.
 *
 * @throws Error that names the file which is not right
 */
export async function readKept(folder: string): Promise<Kept> {
  const root = join(folder, 'docker/registry/v2');
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const blobs = new Set<string>();
  const links = new Map<string, string>();
  for (const file of files) {
    const [, hex] = /\/blobs\/sha256\/[0-9a-f]{2}\/([0-9a-f]{64})\/data$/.exec(file) ?? [];
    if (hex !== undefined) {
      const found = createHash('sha256')
        .update(await readFile(file))
        .digest('hex');
      if (found !== hex) throw new Error(`${file} has the digest ${found}`);
      blobs.add(`sha256:${hex}`);
    } else if (file.startsWith(`${root}/repositories/`) && file.endsWith('/link')) {
      links.set(file, await readFile(file, 'utf8'));
    } else if (file.startsWith(root) || file.includes('/incoming/')) throw new Error(`${file} was left behind`);
  }
  const tags: Record<string, string> = {};
  for (const [file, digest] of links) {
    if (!blobs.has(digest)) throw new Error(`${file} leads to ${digest}, which is not there`);
    const [, tag] = /\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(file) ?? [];
    if (tag !== undefined) tags[tag] = digest;
  }
  return { blobs: [...blobs].sort(), tags };
}
