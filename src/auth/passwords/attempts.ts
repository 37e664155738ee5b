import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { RegistryError } from '../../oci/errors.ts';

/** Who tries: an account from an address, an address, an account. */
const kinds = ['pair', 'address', 'account'] as const;
type Kind = (typeof kinds)[number];

/** Failures that nobody waits for: people mistype, and many may share an address. */
const free: Readonly<Record<Kind, number>> = { pair: 3, address: 20, account: 50 };

/** The first wait, in milliseconds; it doubles with each further failure. */
const firstWait = 500;
const longestWait = 8_000;

/** A failure is forgotten after so long, one at a time. In milliseconds. */
const forgottenAfter = 60_000;

/** Attempts that may wait at a time; what comes then is refused. */
const mayWait: Readonly<Record<Kind, number>> = { pair: 4, address: 32, account: 32 };

/** Addresses, accounts and pairs of them that are kept in mind. */
const remembered = 20_000;

interface Count {
  failures: number;
  /** Until when failures were forgotten. */
  forgotten: number;
  waiting: number;
}

export interface AttemptsOptions {
  /** Told of each attempt that has to wait. */
  readonly onSlowed?: (() => void) | undefined;
  /** For tests. */
  readonly wait?: (milliseconds: number) => Promise<void>;
  readonly now?: () => number;
}

/**
 * Slows down who guesses passwords: after a few failures each further attempt waits, longer each time. Nobody is locked out
 * for good, so that nobody can lock out others.
 */
export class Attempts {
  readonly #onSlowed: (() => void) | undefined;
  readonly #wait: (milliseconds: number) => Promise<void>;
  readonly #now: () => number;
  readonly #counts = new LRUCache<string, Count>({ max: remembered });

  constructor({ onSlowed, wait = (milliseconds) => delay(milliseconds), now = Date.now }: AttemptsOptions = {}) {
    this.#onSlowed = onSlowed;
    this.#wait = wait;
    this.#now = now;
  }

  /**
   * Makes an attempt as soon as it may be made.
   *
   * @param address of the peer
   * @returns what `verify` says
   * @throws RegistryError TOOMANYREQUESTS when others of the same account or address wait already; what `verify` throws,
   *   which is no failure
   */
  async make(account: string, address: string, verify: () => Promise<boolean>): Promise<boolean> {
    const counts = this.#countsOf(account, address);
    const milliseconds = Math.max(...kinds.map((kind) => waitFor(counts[kind].failures - free[kind])));
    const change = (by: number) => {
      for (const kind of kinds) counts[kind].failures = Math.max(0, counts[kind].failures + by);
    };
    // It counts from now on: of many that come at once, only the first few are the first few.
    change(1);
    let failed = false;
    try {
      if (milliseconds > 0) await this.#queue(counts, milliseconds);
      failed = !(await verify());
      if (!failed) counts.pair.failures = 0;
    } finally {
      if (!failed) change(-1);
    }
    return !failed;
  }

  async #queue(counts: Readonly<Record<Kind, Count>>, milliseconds: number): Promise<void> {
    if (kinds.some((kind) => counts[kind].waiting >= mayWait[kind])) {
      throw new RegistryError('TOOMANYREQUESTS', {
        message: 'too many failed logins; try again later',
        headers: { 'Retry-After': String(Math.ceil(milliseconds / 1000)) },
      });
    }
    for (const kind of kinds) counts[kind].waiting += 1;
    this.#onSlowed?.();
    try {
      await this.#wait(milliseconds);
    } finally {
      for (const kind of kinds) counts[kind].waiting -= 1;
    }
  }

  #countsOf(account: string, address: string): Readonly<Record<Kind, Count>> {
    const [name, place] = [account.slice(0, 256), networkOf(address)];
    return {
      pair: this.#countOf(`pair ${place} ${name}`),
      address: this.#countOf(`address ${place}`),
      account: this.#countOf(`account ${name}`),
    };
  }

  #countOf(key: string): Count {
    const now = this.#now();
    const count = this.#counts.get(key) ?? { failures: 0, forgotten: now, waiting: 0 };
    this.#counts.set(key, count);
    const steps = Math.floor((now - count.forgotten) / forgottenAfter);
    count.failures = Math.max(0, count.failures - steps);
    count.forgotten = count.failures === 0 ? now : count.forgotten + steps * forgottenAfter;
    return count;
  }
}

/** In milliseconds. @param excess failures beyond those that are free */
function waitFor(excess: number): number {
  return excess < 0 ? 0 : Math.min(longestWait, firstWait * 2 ** Math.min(excess, 10));
}

/** Who has one address of IPv6 has 2⁶⁴ of them: those of one network are taken for one. */
export function networkOf(address: string): string {
  const embedded = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (embedded !== undefined || !address.includes(':')) return embedded ?? address;
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? [];
  const [before, after] = [head, tail ?? ''].map((part) => (part === '' ? [] : part.split(':'))) as [
    string[],
    string[],
  ];
  const groups =
    tail === undefined ? before : [...before, ...Array(8 - before.length - after.length).fill('0'), ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
