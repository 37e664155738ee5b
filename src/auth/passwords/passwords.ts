import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { Bcrypt, usualCost } from './bcrypt.ts';
import { costOf, type Htpasswd } from './htpasswd.ts';

/**
 * How long it is known of a password whether it is right, in milliseconds. bcrypt would be paid for each request; and whoever
 * comes with the same wrong password again and again, as machines do, guesses nothing by it.
 */
const knownFor = 300_000;

/** How long it is known of a password that it was right once, in milliseconds. Whoever has it does not guess. */
const familiarFor = 24 * 3_600_000;

/**
 * Makes a verification, sooner or later.
 *
 * @param familiar whether the password was right before
 */
export type Guard = (verify: () => Promise<boolean>, familiar: boolean) => Promise<boolean>;

/** Users and their passwords. */
export interface Passwords {
  /**
   * Whether the password is the user's; takes as long for a user who is not there. Costs next to nothing when the same was
   * asked a short time ago and the file says the same of the user now, and then `guard` is not called.
   *
   * @throws BusyError
   */
  check(user: string, password: string, guard: Guard): Promise<boolean>;
  has(user: string): boolean;
  /** Changes when the user's password does; undefined when there is no such user. Does not give the hash away. */
  fingerprint(user: string): string | undefined;
  /** From now on these are the users. */
  replace(users: Htpasswd): void;
}

export function createPasswords(initial: Htpasswd, bcrypt = new Bcrypt()): Passwords {
  const key = randomBytes(32);
  // Apart, so that those who guess do not push out those who know.
  const right = new LRUCache<string, { at: number }>({ max: 10_000, ttl: familiarFor });
  const wrong = new LRUCache<string, true>({ max: 10_000, ttl: knownFor });
  const running = new Map<string, Promise<boolean>>();
  let hashes = initial.hashes;
  let dummies = dummiesFor(initial);

  const digest = (...parts: string[]) => createHmac('sha256', key).update(parts.join('\0')).digest();

  /** The hash of nobody's password, as costly for the same name each time as one of somebody's. */
  const dummyOf = (user: string) => dummies[digest(user).readUInt32BE() % dummies.length] ?? dummyHash(usualCost);

  return {
    async check(user, password, guard) {
      const known = hashes.get(user);
      const hash = known ?? dummyOf(user);
      // Neither the password nor anything to try passwords on: the key is in this process only.
      const mark = digest(user, hash, password).toString('base64');
      const familiar = right.get(mark);
      if (familiar !== undefined && Date.now() - familiar.at < knownFor) return true;
      if (wrong.has(mark)) return false;

      // Clients come with several connections at once.
      const before = running.get(mark);
      if (before !== undefined) return before;
      const verifying = guard(() => bcrypt.verify(password, hash), familiar !== undefined);
      running.set(mark, verifying);
      try {
        const isRight = (await verifying) && known !== undefined;
        if (isRight) right.set(mark, { at: Date.now() });
        else wrong.set(mark, true);
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
      dummies = dummiesFor(users);
    },
  };
}

/** For each user one, with the cost of the user's own: so that time does not tell who exists. */
function dummiesFor({ hashes }: Htpasswd): string[] {
  const made = new Map<number, string>();
  return [...hashes.values()].map((hash) => {
    const cost = costOf(hash) ?? usualCost;
    const dummy = made.get(cost) ?? dummyHash(cost);
    made.set(cost, dummy);
    return dummy;
  });
}

/** A hash of nothing that anybody knows, of the given cost. */
function dummyHash(cost: number): string {
  const letters = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const text = Array.from(randomBytes(52), (byte) => letters[byte % 64]).join('');
  // The last character of the salt and of the hash have bits that must be 0.
  return `$2b$${String(cost).padStart(2, '0')}$${text.slice(0, 21)}.${text.slice(21, 51)}.`;
}
