import { describe, expect, it } from 'vitest';
import { createKeyedLock } from './keyed-lock.ts';

function task(log: string[], name: string) {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const run = async () => {
    log.push(`${name} begins`);
    await ended;
    log.push(`${name} ends`);
  };
  return { run, end };
}

describe('a keyed lock', () => {
  it('lets those that share run together and keeps an exclusive one apart', async () => {
    const log: string[] = [];
    const lock = createKeyedLock();
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => task(log, name));
    if (!a || !b || !c || !d) throw new TypeError();
    const all = [
      lock.shared('key', a.run),
      lock.shared('key', b.run),
      lock.exclusive('key', c.run),
      lock.shared('key', d.run),
    ];
    for (const { end } of [d, c, b, a]) end();
    await Promise.all(all);
    expect(log.slice(0, 2)).toEqual(['a begins', 'b begins']);
    expect(log.slice(4)).toEqual(['c begins', 'c ends', 'd begins', 'd ends']);
  });

  it('goes on behind a task that fails', async () => {
    const lock = createKeyedLock();
    const failing = lock.exclusive('key', () => Promise.reject(new Error('fault')));
    const next = lock.shared('key', async () => 'fine');
    await expect(failing).rejects.toThrow('fault');
    expect(await next).toBe('fine');
  });
});
