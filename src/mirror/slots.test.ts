import { expect, test } from 'vitest';
import { Slots } from './slots.ts';

test('no more come at once than may; who has waited longest is next, and who has left is not', async () => {
  const slots = new Slots(1);
  const { signal } = new AbortController();
  const leaving = new AbortController();
  const order: string[] = [];
  const take = async (name: string, left = signal) => {
    const leave = await slots.take(left);
    order.push(name);
    return leave;
  };
  const first = await take('first');
  const second = take('second', leaving.signal);
  const third = take('third');
  const fourth = take('fourth');
  leaving.abort(new Error('gone'));
  await expect(second).rejects.toThrow('gone');
  first();
  (await third)();
  (await fourth)();
  (await take('fifth'))();
  expect(order).toEqual(['first', 'third', 'fourth', 'fifth']);
});

test('a task has its slot until it ends, one way or another', async () => {
  const slots = new Slots(1);
  let running = 0;
  const task = (result: () => string) => async () => {
    running += 1;
    expect(running).toBe(1);
    await Promise.resolve();
    running -= 1;
    return result();
  };
  const fails = () => {
    throw new Error('failed');
  };
  const results = await Promise.allSettled([slots.run(task(fails)), slots.run(task(() => 'done'))]);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  await expect(slots.run(task(fails), AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  expect(await slots.run(task(() => 'next'))).toBe('next');
});
