import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Bcrypt, usualCost } from './bcrypt.ts';
import { costOf, type Htpasswd } from './htpasswd.ts';

/**
 * How long it is known of a password whether it is right, in milliseconds. bcrypt would be paid for each request; and whoever
 * comes with the same wrong password again and again, as machines do, guesses nothing by it.
 */
const knownFor = 300_000;

/** Users and their passwords. */
export interface Passwords {
  /**
   * Whether the password was right when it was verified a short time ago, if the file says the same of the user now;
   * undefined when it was not verified. Costs next to nothing.
   */
  recall(user: string, password: string): boolean | undefined;
  /** Takes as long for a user who is not there. @throws BusyError */
  verify(user: string, password: string): Promise<boolean>;
  has(user: string): boolean;
  /** Changes when the user's password does; undefined when there is no such user. Does not give the hash away. */
  fingerprint(user: string): string | undefined;
  /** From now on these are the users. */
  replace(users: Htpasswd): void;
}

/** A hash of nothing that anybody knows, of the given cost. */
function dummyHash(cost: number): string {
  const letters = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const text = Array.from(randomBytes(52), (byte) => letters[byte % 64]).join('');
  // The last character of the salt and of the hash have bits that must be 0.
  return `$2b$${String(cost).padStart(2, '0')}$${text.slice(0, 21)}.${text.slice(21, 51)}.`;
}

export function createPasswords(initial: Htpasswd, bcrypt = new Bcrypt()): Passwords {
  const key = randomBytes(32);
  // Apart, so that those who guess do not push out those who know.
  const right = new LRUCache<string, true>({ max: 10_000, ttl: knownFor });
  const wrong = new LRUCache<string, true>({ max: 10_000, ttl: knownFor });
  const running = new Map<string, Promise<boolean>>();
  let hashes = initial.hashes;
  let dummy = dummyOf(initial);

  /** Neither the password nor anything to try passwords on: the key is in this process only. */
  const markOf = (user: string, password: string, hash: string) =>
    createHmac('sha256', key).update(`${user}\0${hash}\0${password}`).digest('base64');

  return {
    recall(user, password) {
      const mark = markOf(user, password, hashes.get(user) ?? dummy);
      if (right.has(mark)) return true;
      return wrong.has(mark) ? false : undefined;
    },

    async verify(user, password) {
      const hash = hashes.get(user) ?? dummy;
      const mark = markOf(user, password, hash);
      // Clients come with several connections at once.
      const verifying = running.get(mark) ?? bcrypt.verify(password, hash);
      running.set(mark, verifying);
      try {
        // Nobody knows what the dummy is the hash of.
        const isRight = (await verifying) && hash !== dummy;
        (isRight ? right : wrong).set(mark, true);
        return isRight;
      } finally {
        running.delete(mark);
      }
    },

    has: (user) => hashes.has(user),

    fingerprint(user) {
      const hash = hashes.get(user);
      return hash && createHmac('sha256', 'berth password').update(`${user}\0${hash}`).digest('base64url').slice(0, 22);
    },

    replace(users) {
      hashes = users.hashes;
      dummy = dummyOf(users);
    },
  };
}

/** As costly as the most usual entry, so that time does not tell who exists. */
function dummyOf({ hashes }: Htpasswd): string {
  const counts = new Map<number, number>();
  for (const hash of hashes.values()) {
    const cost = costOf(hash) ?? usualCost;
    counts.set(cost, (counts.get(cost) ?? 0) + 1);
  }
  const [usual = usualCost] = [...counts].sort(([, a], [, b]) => b - a)[0] ?? [];
  return dummyHash(usual);
}
