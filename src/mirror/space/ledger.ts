import type { Digest } from '../../oci/digest.ts';
import type { Link, Record } from './records.ts';

/** Content that came from an upstream. */
export interface Entry {
  readonly digest: Digest;
  /** In bytes. */
  size: number;
  /** As in {@link Record}. */
  used: number;
  stored: number | undefined;
  /** By kind and repository. */
  readonly links: Map<string, Link>;
  /** A repository that is hosted here has it too: it takes no place of the mirror's, and nothing is won by evicting it. */
  hosted: boolean;
  /** Not to be evicted before, in milliseconds since 1970. */
  spared: number;
}

/**
 * What of the storage is the mirror's, in memory. It is derived from the storage and may lag behind it: whoever acts on it
 * looks there first.
 */
export class Ledger {
  readonly #entries = new Map<Digest, Entry>();
  #bytes = 0;

  /** Of all that is not hosted too. */
  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#entries.size;
  }

  get(digest: Digest): Entry | undefined {
    return this.#entries.get(digest);
  }

  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  /** Adds what is known of some content to what was. */
  note({ digest, size, used, stored, links }: Record): Entry {
    let entry = this.#entries.get(digest);
    if (entry === undefined) {
      entry = { digest, size, used, stored, links: new Map(), hosted: false, spared: 0 };
      this.#entries.set(digest, entry);
      this.#bytes += size;
    }
    if (entry.size !== size) {
      if (!entry.hosted) this.#bytes += size - entry.size;
      entry.size = size;
    }
    entry.used = Math.max(entry.used, used);
    if (stored !== undefined) entry.stored = Math.max(entry.stored ?? 0, stored);
    for (const link of links) entry.links.set(`${link.kind} ${link.repository}`, link);
    return entry;
  }

  setHosted(entry: Entry, hosted: boolean): void {
    if (entry.hosted === hosted || this.#entries.get(entry.digest) !== entry) return;
    entry.hosted = hosted;
    this.#bytes += hosted ? -entry.size : entry.size;
  }

  forget(digest: Digest): void {
    const entry = this.#entries.get(digest);
    if (entry === undefined) return;
    this.#entries.delete(digest);
    if (!entry.hosted) this.#bytes -= entry.size;
  }
}

export function recordOf({ digest, size, used, stored, links }: Entry): Record {
  return { digest, size, used, stored, links: [...links.values()] };
}
