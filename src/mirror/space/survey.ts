import { type StorageDriver, unlessMissing } from '../../../storage-drivers/driver.ts';
import type { Digest } from '../../oci/digest.ts';
import { ahead } from '../../registry/ahead.ts';
import { layout } from '../../registry/layout.ts';
import { exists } from '../../registry/links.ts';
import type { Ledger } from './ledger.ts';
import type { Territory } from './territory.ts';
import { mirrorLinks } from './walks.ts';

/** Content that is looked at at a time. */
const width = 16;

export interface SurveyOptions {
  readonly driver: StorageDriver;
  readonly territory: Territory;
  readonly ledger: Ledger;
  /** When content of which nobody knows was last used, in place of its date: milliseconds since 1970. */
  readonly usedOf: (digest: Digest) => number | undefined;
  readonly signal: AbortSignal;
}

/** Goes through all that mirrors have, and makes the ledger say so. Takes long, and harms nobody meanwhile. */
export async function survey({ driver, territory, ledger, usedOf, signal }: SurveyOptions): Promise<void> {
  const seen = new Set<Digest>();
  const before = new Set(Array.from(ledger.entries(), ({ digest }) => digest));
  const links = mirrorLinks(driver, territory, signal);
  const look = async ({ digest }: { digest: Digest }) => {
    if (seen.has(digest)) return 'seen';
    seen.add(digest);
    return unlessMissing(driver.stat(layout.blobData(digest), { signal }));
  };
  for await (const { item, result } of ahead(links, width, look)) {
    const { digest } = item;
    // The link leads nowhere.
    if (result === undefined) ledger.forget(digest);
    const known = ledger.get(digest);
    const size = result === 'seen' ? known?.size : result?.size;
    if (size === undefined) continue;
    const date = known === undefined && result !== 'seen' ? result?.modified?.getTime() : undefined;
    ledger.note({ digest, size, used: usedOf(digest) ?? date ?? 0, stored: undefined, links: [item] });
  }
  for (const digest of before) {
    // What has lost its links takes its place all the same, until it is evicted.
    if (!seen.has(digest) && !(await exists(driver, layout.blobData(digest)))) ledger.forget(digest);
  }
}
