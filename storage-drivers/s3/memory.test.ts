import { expect, test } from 'vitest';
import { type Holder, Memory } from './memory.ts';

const mebibyte = 1024 * 1024;

/** A memory with uploads in it, whose storage takes what it is given when the test says so. */
function setUp() {
  let now = 0;
  const memory = new Memory(() => now);
  const stored: string[] = [];
  const onTheirWay: (() => void)[] = [];
  return {
    memory,
    stored,
    pass: (milliseconds: number) => {
      now += milliseconds;
    },
    finish: () => onTheirWay.shift()?.(),
    hold(name: string, size: number) {
      const holder = {
        held: size * mebibyte,
        lastUsed: now,
        putAside() {
          const bytes = holder.held;
          holder.held = 0;
          stored.push(name);
          onTheirWay.push(() => memory.giveBack(bytes));
        },
      } satisfies Holder;
      memory.take(holder.held);
      memory.add(holder);
      return holder;
    },
  };
}

/** Whether a promise has resolved when everything has run that could. */
async function resolved(promise: Promise<unknown> | undefined): Promise<boolean> {
  let done = false;
  void promise?.then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

test('nobody waits while there is enough, or little', () => {
  const { memory, hold } = setUp();
  hold('a', 30);
  expect(memory.isScarce).toBe(false);
  expect(memory.room()).toBeUndefined();
  hold('b', 30);
  expect(memory.isScarce).toBe(true);
  expect(memory.isExhausted).toBe(false);
  expect(memory.room()).toBeUndefined();
});

test('what idle uploads hold is stored when memory is scarce, and only that', () => {
  const { memory, hold, pass, stored } = setUp();
  hold('idle', 20);
  pass(10_000);
  hold('at work', 10);
  memory.room();
  expect(stored).toEqual([]);
  hold('more', 10);
  memory.room();
  expect(stored).toEqual(['idle']);
});

test('when it is exhausted, the largest are stored, and who asks gets some when they are', async () => {
  const { memory, hold, finish, stored } = setUp();
  for (const [name, size] of Object.entries({ a: 5, b: 25, c: 10, d: 30 })) hold(name, size);
  const room = memory.room();
  expect(await resolved(room)).toBe(false);
  expect(stored).toEqual(['d']);
  finish();
  expect(await resolved(room)).toBe(true);
});

test('those who ask get it in their order', async () => {
  const { memory, hold, finish, stored } = setUp();
  hold('a', 40);
  hold('b', 40);
  const served: number[] = [];
  const rooms = [1, 2, 3].map((number) => memory.room()?.then(() => served.push(number)));
  expect(await resolved(rooms[0])).toBe(false);
  expect(stored).toEqual(['a']);
  finish();
  await Promise.all(rooms);
  expect(served).toEqual([1, 2, 3]);
});

test('one who ends is left alone', async () => {
  const { memory, hold, stored } = setUp();
  const [ending] = [hold('ending', 60), hold('other', 40)];
  memory.remove(ending);
  const room = memory.room();
  expect(await resolved(room)).toBe(false);
  expect(stored).toEqual([]);
  memory.giveBack(60 * mebibyte);
  expect(await resolved(room)).toBe(true);
});

test('what takes memory to give some back does not wait, but only one does it when memory is exhausted', async () => {
  const { memory, hold } = setUp();
  hold('a', 100);
  const ends: (() => void)[] = [];
  let running = 0;
  const run = () =>
    memory.exempt(async () => {
      running += 1;
      await new Promise<void>((resolve) => ends.push(resolve));
      running -= 1;
    });
  const tasks = [run(), run(), run()];
  await resolved(undefined);
  expect(running).toBe(1);
  ends.shift()?.();
  await tasks[0];
  await resolved(undefined);
  expect(running).toBe(1);
  memory.giveBack(90 * mebibyte);
  await resolved(undefined);
  expect(running).toBe(2);
  for (const end of ends) end();
  await Promise.all(tasks);
});
