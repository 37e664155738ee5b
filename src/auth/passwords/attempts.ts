import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { RegistryError } from '../../oci/errors.ts';

/** Who tries: the same account from the same address, an address, or an account. Mistakes of people are few. */
const limits = { pair: 3, address: 20, account: 50 } as const;

/** The first wait, in milliseconds; it doubles with each further failure. */
const firstWait = 500;
const longestWait = 8_000;

/** Failures are forgotten when there was none for so long. In milliseconds. */
const memory = 15 * 60_000;

/** Attempts of one account from one address that may wait at a time. */
const maxWaiting = 4;

interface Count {
  failures: number;
  waiting: number;
}

export interface AttemptsOptions {
  /** Told of each attempt that has to wait. */
  readonly onSlowed?: (() => void) | undefined;
  /** Default: waits. For tests. */
  readonly wait?: (milliseconds: number) => Promise<void>;
}

/**
 * Slows down who guesses passwords: after a few failures each further attempt waits, longer each time. Nobody is locked out
 * for good, so that nobody can lock out others; whose password has just been right is not asked here at all.
 */
export class Attempts {
  readonly #onSlowed: (() => void) | undefined;
  readonly #wait: (milliseconds: number) => Promise<void>;
  readonly #counts = new LRUCache<string, Count>({ max: 20_000, ttl: memory });

  constructor({
    onSlowed,
    wait = (milliseconds) => delay(milliseconds, undefined, { ref: false }),
  }: AttemptsOptions = {}) {
    this.#onSlowed = onSlowed;
    this.#wait = wait;
  }

  /**
   * Resolves when the attempt may be made.
   *
   * @throws RegistryError TOOMANYREQUESTS when others of the same account and address wait already
   */
  async admit(account: string, address: string): Promise<void> {
    const keys = keysOf(account, address);
    const milliseconds = Math.max(...Object.entries(keys).map(([kind, key]) => this.#waitOf(kind as Kind, key)));
    if (milliseconds === 0) return;
    const count = this.#countOf(keys.pair);
    if (count.waiting >= maxWaiting) {
      throw new RegistryError('TOOMANYREQUESTS', {
        message: 'too many failed logins; try again later',
        headers: { 'Retry-After': String(Math.ceil(milliseconds / 1000)) },
      });
    }
    count.waiting += 1;
    this.#onSlowed?.();
    try {
      await this.#wait(milliseconds);
    } finally {
      count.waiting -= 1;
    }
  }

  failed(account: string, address: string): void {
    for (const key of Object.values(keysOf(account, address))) {
      const count = this.#countOf(key);
      count.failures += 1;
      // Counts from the last failure.
      this.#counts.set(key, count);
    }
  }

  succeeded(account: string, address: string): void {
    this.#counts.delete(keysOf(account, address).pair);
  }

  #waitOf(kind: Kind, key: string): number {
    const excess = (this.#counts.get(key)?.failures ?? 0) - limits[kind];
    return excess < 0 ? 0 : Math.min(longestWait, firstWait * 2 ** Math.min(excess, 10));
  }

  #countOf(key: string): Count {
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const count = { failures: 0, waiting: 0 };
    this.#counts.set(key, count);
    return count;
  }
}

type Kind = keyof typeof limits;

function keysOf(account: string, address: string): Readonly<Record<Kind, string>> {
  return {
    pair: `pair ${address} ${account.slice(0, 256)}`,
    address: `address ${address}`,
    account: `account ${account.slice(0, 256)}`,
  };
}
