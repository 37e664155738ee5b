import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { type Digest, tryParseDigest } from '../../oci/digest.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { ahead } from '../../registry/ahead.ts';
import { layout } from '../../registry/layout.ts';
import { readLink } from '../../registry/links.ts';
import { walkRepositories } from '../../registry/repositories.ts';
import type { Link } from './records.ts';
import type { Territory } from './territory.ts';

/** Repositories that are looked into at a time. */
const width = 8;

/** Every link of every mirror, as far as a folder says so: it may be left of one that has gone. */
export async function* mirrorLinks(
  driver: StorageDriver,
  territory: Territory,
  signal: AbortSignal,
): AsyncGenerator<Link & { readonly digest: Digest }> {
  const names = walkRepositories(driver, { signal }, undefined, territory.reaches);
  for await (const { item: repository, result } of ahead(names, width, async (name) =>
    (await territory.has(name)) ? linksOf(driver, name, signal) : [],
  )) {
    for (const { digest, kind } of result) yield { digest, kind, repository };
  }
}

/** Those of some digests that a hosted repository has, as the storage says while this runs. */
export async function hostedAmong(
  driver: StorageDriver,
  territory: Territory,
  digests: ReadonlySet<Digest>,
  signal?: AbortSignal,
): Promise<Set<Digest>> {
  const hosted = new Set<Digest>();
  if (!territory.sharesWithHosted) return hosted;
  const names = walkRepositories(driver, signal && { signal });
  const look = async (name: RepositoryName) => {
    if (await territory.has(name)) return;
    for (const { digest, folder } of await linksOf(driver, name, signal)) {
      // Distribution keeps content of another algorithm under its sha256: what such a link leads to is only in itself.
      if (!digests.has(digest) && digest.startsWith('sha256:')) continue;
      const target = await readLink(driver, folder, signal);
      for (const found of target === undefined ? [] : [digest, target]) if (digests.has(found)) hosted.add(found);
    }
  };
  for await (const _ of ahead(names, width, look));
  return hosted;
}

interface FoundLink {
  readonly digest: Digest;
  readonly kind: Link['kind'];
  readonly folder: string;
}

async function linksOf(driver: StorageDriver, name: RepositoryName, signal?: AbortSignal): Promise<FoundLink[]> {
  const links: FoundLink[] = [];
  const options = signal && { signal };
  for (const [kind, top] of [
    ['blob', layout.layers(name)],
    ['manifest', layout.revisions(name)],
  ] as const) {
    for await (const { name: algorithm } of driver.list(top, options)) {
      for await (const { name: encoded } of driver.list(`${top}/${algorithm}`, options)) {
        const digest = tryParseDigest(`${algorithm}:${encoded}`);
        if (digest !== undefined) links.push({ digest, kind, folder: `${top}/${algorithm}/${encoded}` });
      }
    }
  }
  return links;
}
