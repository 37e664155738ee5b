import { describe, expect, test, vi } from 'vitest';
import { Attempts } from './attempts.ts';
import { Bcrypt, BusyError, hashPassword } from './bcrypt.ts';
import { HtpasswdError, parseHtpasswd, withoutUser, withUser } from './htpasswd.ts';
import { createPasswords } from './passwords.ts';

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

describe('a password', () => {
  test('is verified, whichever letter its hash has', async () => {
    const hash = await hashPassword('päss:word', 4);
    expect(hash).toMatch(/^\$2y\$04\$/);
    for (const prefix of ['$2a', '$2b', '$2y']) {
      const passwords = createPasswords(parseHtpasswd(`alice:${hash.replace('$2y', prefix)}`));
      expect(await passwords.verify('alice', 'päss:word'), prefix).toBe(true);
      expect(await passwords.verify('alice', 'päss:wore'), prefix).toBe(false);
    }
  });

  test.each(['', 'a\0b', 'x'.repeat(100), '\ud800'])('that nobody has is wrong: %j', async (password) => {
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    expect(await passwords.verify('alice', password)).toBe(false);
    expect(await passwords.verify('nobody', password)).toBe(false);
  });

  test('of nobody costs as much as one of somebody', async () => {
    const bcrypt = new Bcrypt();
    const verify = vi.spyOn(bcrypt, 'verify');
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 6)}`), bcrypt);
    await passwords.verify('alice', 'wrong');
    await passwords.verify('nobody', 'wrong');
    expect(verify.mock.calls.map(([, hash]) => hash.slice(4, 7))).toEqual(['06$', '06$']);
  });

  test('is paid for once, and by all that come at the same time together', async () => {
    const bcrypt = new Bcrypt();
    const verify = vi.spyOn(bcrypt, 'verify');
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`), bcrypt);
    expect(passwords.recall('alice', 'secret')).toBeUndefined();
    expect(await Promise.all([1, 2, 3].map(() => passwords.verify('alice', 'secret')))).toEqual([true, true, true]);
    expect(passwords.recall('alice', 'secret')).toBe(true);
    expect(passwords.recall('alice', 'secre')).toBeUndefined();
    expect(verify).toHaveBeenCalledTimes(1);
  });

  test('is not known any more when it was changed or its user is gone', async () => {
    const passwords = createPasswords(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    await passwords.verify('alice', 'secret');
    const before = passwords.fingerprint('alice');
    passwords.replace(parseHtpasswd(`alice:${await hashPassword('other', 4)}`));
    expect(passwords.recall('alice', 'secret')).toBeUndefined();
    expect(await passwords.verify('alice', 'secret')).toBe(false);
    expect(passwords.recall('alice', 'secret')).toBe(false);
    expect(passwords.fingerprint('alice')).not.toBe(before);
    passwords.replace(parseHtpasswd(''));
    expect(passwords.has('alice')).toBe(false);
    expect(passwords.fingerprint('alice')).toBeUndefined();
    expect(passwords.recall('alice', 'other')).toBeUndefined();
    expect(await passwords.verify('alice', 'other')).toBe(false);
    passwords.replace(parseHtpasswd(`alice:${await hashPassword('secret', 4)}`));
    expect(passwords.recall('alice', 'secret')).toBeUndefined();
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
  const attempts = () => {
    waits.length = 0;
    slowed = 0;
    return new Attempts({
      onSlowed: () => {
        slowed += 1;
      },
      wait: async (milliseconds) => {
        waits.push(milliseconds);
      },
    });
  };

  test('waits longer each time, and others do not', async () => {
    const some = attempts();
    for (let count = 0; count < 10; count += 1) {
      await some.admit('alice', '10.0.0.1');
      some.failed('alice', '10.0.0.1');
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 8000, 8000]);
    expect(slowed).toBe(waits.length);
    waits.length = 0;
    await some.admit('alice', '10.0.0.2');
    await some.admit('bob', '10.0.0.1');
    expect(waits).toEqual([]);
    some.succeeded('alice', '10.0.0.1');
    await some.admit('alice', '10.0.0.1');
    expect(waits).toEqual([]);
  });

  test('waits when many accounts are tried from one address, or one from many', async () => {
    const some = attempts();
    for (let count = 0; count < 20; count += 1) some.failed(`user${count}`, '10.0.0.1');
    await some.admit('another', '10.0.0.1');
    for (let count = 0; count < 50; count += 1) some.failed('alice', `10.1.0.${count}`);
    await some.admit('alice', '10.9.9.9');
    expect(waits).toEqual([500, 500]);
  });

  test('is refused when several wait already', async () => {
    const some = new Attempts({ wait: () => new Promise(() => {}) });
    for (let count = 0; count < 3; count += 1) some.failed('alice', '10.0.0.1');
    for (let count = 0; count < 4; count += 1) some.admit('alice', '10.0.0.1').catch(() => undefined);
    await expect(some.admit('alice', '10.0.0.1')).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      headers: { 'Retry-After': '1' },
    });
  });
});
