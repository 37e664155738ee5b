import { type StorageDriver, unlessMissing } from '../../../storage-drivers/driver.ts';
import { type Digest, tryParseDigest } from '../../oci/digest.ts';

/** Where distribution's proxy mode keeps when it will drop what it has pulled. */
const path = '/scheduler-state.json';

/** In bytes; about half a million entries. */
const maxSize = 128 * 1024 * 1024;

/**
 * When the content of a volume of distribution's proxy mode was to go: by digest, the latest date of all repositories.
 * Empty without such a file, or when it cannot be read as one. The file stays as it is, for who goes back.
 */
export async function readSchedulerState(driver: StorageDriver): Promise<ReadonlyMap<Digest, Date>> {
  const expiries = new Map<Digest, Date>();
  const content = await unlessMissing(driver.get(path, { maxSize }));
  for (const [key, entry] of entriesOf(content)) {
    // `<repository>@<digest>`; `ExpiryData` is how distribution spells it.
    const digest = tryParseDigest(key.slice(key.lastIndexOf('@') + 1));
    const expiry = isMap(entry) ? new Date(String(entry.ExpiryData)) : undefined;
    if (digest === undefined || expiry === undefined || Number.isNaN(expiry.getTime())) continue;
    const known = expiries.get(digest);
    if (known === undefined || known < expiry) expiries.set(digest, expiry);
  }
  return expiries;
}

function entriesOf(content: Buffer | undefined): [string, unknown][] {
  if (content === undefined) return [];
  try {
    const state: unknown = JSON.parse(content.toString('utf8'));
    return isMap(state) ? Object.entries(state) : [];
  } catch {
    return [];
  }
}

function isMap(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
