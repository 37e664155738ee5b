import { describe, expect, test, vi } from 'vitest';
import { Attempts, networkOf } from './attempts.ts';
import { Bcrypt, BusyError, hashPassword } from './bcrypt.ts';
import { HtpasswdError, parseHtpasswd, withoutUser, withUser } from './htpasswd.ts';
import { createPasswords, type Guard } from './passwords.ts';

describe('a password file', () => {
  test('has users, comments and empty lines', async () => {
    const hash = await hashPassword('secret', 4);
    const { hashes, warnings } = parseHtpasswd(
      `# people\r\n\r\nalice:${hash}\r\n  bob:${hash.replace('$2y', '$2a')}\n`,
    );
    expect([...hashes.keys()]).toEqual(['alice', 'bob']);
    expect(warnings).toEqual([]);
  });

  test('leaves out what is not bcrypt, and says so without the hash', () => {
    const { hashes, warnings } = parseHtpasswd('eve:{SHA}5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8\n');
    expect(hashes.size).toBe(0);
    expect(warnings).toEqual([expect.stringMatching(/^line 1: the password of eve is not hashed with bcrypt/)]);
    expect(warnings.join()).not.toContain('5baa');
  });

  test.each(['alice', ':hash', 'a line\nalice:x'])('is refused when a line is no entry: %j', (text) => {
    expect(() => parseHtpasswd(text)).toThrow(HtpasswdError);
  });

  test('is changed without touching the rest', () => {
    const text = '# people\nalice:one\nbob:two';
    expect(withUser(text, 'alice', 'three')).toBe('# people\nbob:two\nalice:three\n');
    expect(withUser(text, 'carol', 'three')).toBe('# people\nalice:one\nbob:two\ncarol:three\n');
    expect(withoutUser(text, 'alice')).toEqual({ text: '# people\nbob:two', found: true });
    expect(withoutUser(text, 'ali')).toEqual({ text, found: false });
  });
});

const unguarded: Guard = (verify) => verify();

describe('a password', () => {
  test('is verified, whichever letter its hash has', async () => {
    const hash = await hashPassword('päss:word', 4);
    expect(hash).toMatch(/^\$2y\$04\$/);
    for (const prefix of ['$2a', '$2b', '$2y']) {
      const passwords = createPasswords(parseHtpasswd(`alice:${hash.replace('$2y', prefix)}`));
      expect(await passwords.check('alice', 'päss:word', unguarded), prefix).toBe(true);
      expect(await passwords.check('alice', 'päss:wore', unguarded), prefix).toBe(false);
    }
  });

  test.each(['', 'a\0b', 'x'.repeat(100), '\ud800'])('that nobody has is wrong: %j', async (password) => {
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    expect(await passwords.check('alice', password, unguarded)).toBe(false);
    expect(await passwords.check('nobody', password, unguarded)).toBe(false);
  });

  test('of nobody costs as much as one of somebody, and the same each time', async () => {
    const bcrypt = new Bcrypt();
    const verify = vi.spyOn(bcrypt, 'verify');
    const users = `alice:${await hashPassword('secret', 6)}\nbob:${await hashPassword('secret', 4)}`;
    const passwords = createPasswords(parseHtpasswd(users), bcrypt);
    const costs = new Map<string, Set<string>>();
    for (const user of ['alice', 'bob', ...Array.from({ length: 20 }, (_, index) => `nobody${index}`)]) {
      for (const password of ['one', 'two']) await passwords.check(user, password, unguarded);
      costs.set(user, new Set(verify.mock.calls.splice(0).map(([, hash]) => hash.slice(4, 7))));
    }
    expect(costs.get('alice')).toEqual(new Set(['06$']));
    expect([...costs.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set([...costs].slice(2).map(([, set]) => [...set].join()))).toEqual(new Set(['04$', '06$']));
  });

  test('is verified once, and by all that come at the same time together', async () => {
    const bcrypt = new Bcrypt();
    const verify = vi.spyOn(bcrypt, 'verify');
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`), bcrypt);
    const check = (password: string) => passwords.check('alice', password, unguarded);
    expect(await Promise.all([1, 2, 3].map(() => check('secret')))).toEqual([true, true, true]);
    expect(await check('secret')).toBe(true);
    expect(verify).toHaveBeenCalledTimes(1);
    expect(await check('secre')).toBe(false);
    expect(await check('secre')).toBe(false);
    expect(verify).toHaveBeenCalledTimes(2);
  });

  test('is verified again after some minutes, and then it is familiar', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    const guard = vi.fn(unguarded);
    await passwords.check('alice', 'secret', guard);
    vi.advanceTimersByTime(299_000);
    await passwords.check('alice', 'secret', guard);
    expect(guard.mock.calls.map(([, familiar]) => familiar)).toEqual([false]);
    vi.advanceTimersByTime(2_000);
    await passwords.check('alice', 'secret', guard);
    expect(guard.mock.calls.map(([, familiar]) => familiar)).toEqual([false, true]);
    vi.useRealTimers();
  });

  test('is not known any more when it was changed or its user is gone', async () => {
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    const guard = vi.fn(unguarded);
    const check = (password: string) => passwords.check('alice', password, guard);
    expect(await check('secret')).toBe(true);
    const before = passwords.fingerprint('alice');
    passwords.replace(parseHtpasswd(`alice:${await hashPassword('other', 4)}`));
    expect(await check('secret')).toBe(false);
    expect(await check('other')).toBe(true);
    expect(passwords.fingerprint('alice')).not.toBe(before);
    passwords.replace(parseHtpasswd(''));
    expect(passwords.has('alice')).toBe(false);
    expect(passwords.fingerprint('alice')).toBeUndefined();
    expect(await check('other')).toBe(false);
    passwords.replace(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    expect(await check('secret')).toBe(true);
    expect(guard).toHaveBeenCalledTimes(5);
    expect(guard.mock.calls.every(([, familiar]) => !familiar)).toBe(true);
  });
});

test('verifications wait for each other, and too many are refused', async () => {
  const bcrypt = new Bcrypt(1);
  const hash = await hashPassword('secret', 4);
  const results = await Promise.allSettled(Array.from({ length: 300 }, () => bcrypt.verify('secret', hash)));
  const refused = results.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(300 - 201);
  expect(refused.every((result) => result.status === 'rejected' && result.reason instanceof BusyError)).toBe(true);
  expect(await bcrypt.verify('secret', hash)).toBe(true);
});

describe('who guesses', () => {
  const waits: number[] = [];
  let slowed = 0;
  let time = 0;
  const right = async () => true;
  const wrong = async () => false;

  function attempts(): Attempts {
    waits.length = 0;
    slowed = 0;
    return new Attempts({
      onSlowed: () => {
        slowed += 1;
      },
      wait: async (milliseconds) => void waits.push(milliseconds),
      now: () => time,
    });
  }

  test('waits longer each time, and others do not', async () => {
    const some = attempts();
    for (let count = 0; count < 10; count += 1) expect(await some.make('alice', '10.0.0.1', wrong)).toBe(false);
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
    expect(slowed).toBe(waits.length);
    waits.length = 0;
    expect(await some.make('alice', '10.0.0.2', wrong)).toBe(false);
    expect(await some.make('bob', '10.0.0.1', right)).toBe(true);
    expect(waits).toEqual([]);
    expect(await some.make('alice', '10.0.0.1', right)).toBe(true);
    await some.make('alice', '10.0.0.1', wrong);
    expect(waits).toEqual([8000]);
  });

  test('waits when many accounts are tried from one address, or one from many', async () => {
    const some = attempts();
    for (let count = 0; count < 20; count += 1) await some.make(`user${count}`, '10.0.0.1', wrong);
    await some.make('another', '10.0.0.1', right);
    for (let count = 0; count < 50; count += 1) await some.make('alice', `10.1.0.${count}`, wrong);
    await some.make('alice', '10.9.9.9', right);
    expect(waits).toEqual([500, 500]);
  });

  test('is forgiven with time', async () => {
    const some = attempts();
    for (let count = 0; count < 4; count += 1) await some.make('alice', '10.0.0.1', wrong);
    expect(waits).toEqual([500]);
    time += 90_000;
    await some.make('alice', '10.0.0.1', wrong);
    expect(waits).toEqual([500, 500]);
    time += 240_000;
    await some.make('alice', '10.0.0.1', wrong);
    expect(waits).toEqual([500, 500]);
  });

  test('gains nothing by guessing many at once', async () => {
    let verified = 0;
    const some = new Attempts({ wait: () => new Promise(() => {}) });
    const guess = () =>
      some.make('alice', '10.0.0.1', async () => {
        verified += 1;
        return false;
      });
    const guesses = Array.from({ length: 20 }, guess);
    await Promise.all(guesses.slice(0, 3));
    const last = guesses.slice(7).map((promise) => promise.then(String, ({ code }: { code: string }) => code));
    expect(new Set(await Promise.all(last))).toEqual(new Set(['TOOMANYREQUESTS']));
    expect(verified).toBe(3);
  });

  test('from many accounts of one address has no queue without end', async () => {
    const some = new Attempts({ wait: () => new Promise(() => {}) });
    for (let count = 0; count < 20; count += 1) await some.make(`user${count}`, '10.0.0.1', wrong);
    const waiting = Array.from({ length: 32 }, (_, index) => some.make(`other${index}`, '10.0.0.1', wrong));
    await expect(some.make('one more', '10.0.0.1', wrong)).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      headers: { 'Retry-After': expect.stringMatching(/^\d+$/) },
    });
    expect(waiting).toHaveLength(32);
  });

  test('has failed in nothing when the server was busy', async () => {
    const some = attempts();
    for (let count = 0; count < 10; count += 1) {
      await some.make('alice', '10.0.0.1', () => Promise.reject(new BusyError('busy'))).catch(() => undefined);
    }
    await some.make('alice', '10.0.0.1', right);
    expect(waits).toEqual([]);
  });

  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::7', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['', ''],
  ])('is known by the network: %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
