import { expect, test } from 'vitest';
import { Queue } from './queue.ts';

/** A queue whose receiver fails as long as `down`. */
function setUp(options: { threshold?: number; backoff?: number; max?: number; maxSize?: number } = {}) {
  const scene = {
    down: false,
    attempts: 0,
    delivered: [] as number[],
    changes: [] as [number, unknown][],
    full: 0,
    queue: undefined as unknown as Queue<number>,
  };
  scene.queue = new Queue<number>({
    threshold: 3,
    backoff: 20,
    max: 5,
    maxSize: 1_000,
    sizeOf: (item) => item,
    ...options,
    async deliver(item) {
      scene.attempts += 1;
      if (scene.down) throw new Error('down');
      scene.delivered.push(item);
    },
    onChange: (failures, error) => void scene.changes.push([failures, error]),
    onFull() {
      scene.full += 1;
    },
  });
  return scene;
}

test('delivers in order, and when the receiver is back what has waited for it', async () => {
  const scene = setUp();
  scene.queue.add(1);
  scene.down = true;
  scene.queue.add(2);
  scene.queue.add(3);
  await expect.poll(() => scene.attempts).toBeGreaterThan(5);
  expect(scene.queue.pending).toBe(3);
  scene.down = false;
  await expect.poll(() => scene.delivered).toEqual([1, 2, 3]);
  expect(scene.queue.pending).toBe(0);
  expect(scene.changes).toEqual([
    [1, new Error('down')],
    [expect.any(Number), undefined],
  ]);
});

test('leaves a receiver that fails alone for a while before each attempt', async () => {
  const scene = setUp({ threshold: 3, backoff: 60_000 });
  scene.down = true;
  scene.queue.add(1);
  await expect.poll(() => scene.attempts).toBe(3);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(scene.attempts).toBe(3);
  expect(await scene.queue.close(0)).toBe(1);
});

test('lets the oldest go when too many wait, and says so once', async () => {
  const scene = setUp({ backoff: 5 });
  scene.down = true;
  scene.queue.add(0);
  await expect.poll(() => scene.attempts).toBeGreaterThan(0);
  for (let item = 1; item <= 9; item += 1) scene.queue.add(item);
  expect([scene.full, scene.queue.dropped, scene.queue.pending]).toEqual([1, 4, 6]);
  scene.down = false;
  await expect.poll(() => scene.delivered).toEqual([0, 5, 6, 7, 8, 9]);
});

test('lets the oldest go as well when those that wait are too large', async () => {
  const scene = setUp({ backoff: 5, maxSize: 100 });
  scene.down = true;
  scene.queue.add(1);
  await expect.poll(() => scene.attempts).toBeGreaterThan(0);
  for (const item of [20, 30, 50, 60, 10]) scene.queue.add(item);
  expect([scene.queue.dropped, scene.queue.pending, scene.full]).toEqual([3, 3, 1]);
  scene.down = false;
  await expect.poll(() => scene.delivered).toEqual([1, 60, 10]);
  scene.down = true;
  for (const item of [2, 40, 60, 101]) scene.queue.add(item);
  await expect.poll(() => scene.queue.pending).toBe(0);
});

test('delivers what waits before it closes, but not for ever', async () => {
  const scene = setUp();
  for (let item = 0; item < 4; item += 1) scene.queue.add(item);
  expect(await scene.queue.close(10_000)).toBe(0);
  expect(scene.delivered).toEqual([0, 1, 2, 3]);

  const stuck = setUp({ backoff: 60_000 });
  stuck.down = true;
  for (let item = 0; item < 4; item += 1) stuck.queue.add(item);
  expect(await stuck.queue.close(20)).toBe(4);
  stuck.queue.add(4);
  expect([stuck.queue.dropped, stuck.queue.pending]).toEqual([5, 0]);
});
