import { availableParallelism } from 'node:os';
import { hash, verify } from '@node-rs/bcrypt';

/** What `htpasswd -B` and others make today; each step doubles the work. */
export const usualCost = 10;

/** Beyond it bcrypt does not look. In bytes. */
export const maxPasswordLength = 72;

/** Verifications that may wait for their turn; what comes then is refused, as its client would not wait so long. */
const maxWaiting = 200;

export class BusyError extends Error {
  override readonly name = 'BusyError';
}

/**
 * Verifications at a time. A core is left to the rest of the server: bcrypt is made to keep processors busy, and a storm of
 * logins must not slow down those who pull. Files are read by the same four threads (libuv's), of which two are left to them.
 */
const usualWidth = Math.max(1, Math.min(2, availableParallelism() - 1));

/** Verifies passwords on other threads. */
export class Bcrypt {
  readonly #width: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(width = usualWidth) {
    this.#width = width;
  }

  /** @throws BusyError when too many wait */
  async verify(password: string, hash: string): Promise<boolean> {
    if (this.#running >= this.#width) {
      if (this.#waiting.length >= maxWaiting) throw new BusyError('too many passwords are being verified');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      // The library knows `$2a$`, `$2b$` and `$2y$` as one.
      return await verify(password, hash);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

export function hashPassword(password: string, cost = usualCost): Promise<string> {
  // The prefix that Apache's htpasswd writes.
  return hash(password, { cost, version: '2y' });
}
