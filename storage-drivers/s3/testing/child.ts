/**
 * A process of its own on a bucket, for tests that need one: `child.js <task> <argument…>`, with the driver's parameters
 * as JSON in `PARAMETERS`. It prints one line of JSON per step and is often killed in the middle.
 */
import { randomBytes } from 'node:crypto';
import { type StorageDriver, StorageError } from '../../driver.ts';
import { createDriver } from '../../index.ts';

type Task = (driver: StorageDriver, ...args: string[]) => Promise<void>;

const mebibyte = 1024 * 1024;

function say(step: unknown): void {
  process.stdout.write(`${JSON.stringify(step)}\n`);
}

/** What came of a minute of everything. */
export interface LoadResult {
  readonly done: number;
  readonly unavailable: number;
  /** Faults of any other kind, and bytes that were not what was acknowledged. */
  readonly wrong: readonly string[];
  /** Of this process over the time, in bytes. */
  readonly rss: readonly number[];
}

const tasks: Readonly<Record<string, Task>> = {
  /** Uploads without end to where the bytes will be, and says after each MiB how far it is. */
  async upload(driver, path = '', to = '') {
    const writer = await driver.writer(path, { append: true, to });
    for (let written = 1; ; written += 1) {
      await writer.write(randomBytes(mebibyte));
      say(written);
    }
  },

  /** Does everything at once for some seconds; then reads what was acknowledged with another driver. */
  async load(driver, seconds = '', lanes = '', calm = '') {
    const source = randomBytes(24 * mebibyte);
    const until = Date.now() + Number(seconds) * 1000;
    const stored = new Map<string, { start: number; end: number }>();
    const wrong: string[] = [];
    const rss: number[] = [];
    let [done, unavailable, count] = [0, 0, 0];

    const check = async (from: StorageDriver, path: string, { start, end }: { start: number; end: number }) => {
      let position = start;
      for await (const chunk of await from.reader(path)) {
        if (!chunk.equals(source.subarray(position, position + chunk.length))) {
          wrong.push(`${path}: other bytes at ${position - start}`);
          return;
        }
        position += chunk.length;
      }
      if (position !== end) wrong.push(`${path}: ${position - start} of ${end - start} bytes, and no fault`);
    };
    const kinds: readonly ((name: string) => Promise<void>)[] = [
      async (name) => {
        const start = Math.floor(Math.random() * mebibyte);
        const end = start + Math.floor(Math.random() * 10_000);
        await driver.put(`/small/${name}`, source.subarray(start, end));
        stored.set(`/small/${name}`, { start, end });
      },
      async (name) => {
        const start = Math.floor(Math.random() * mebibyte);
        const end = start + Math.floor(Math.random() * 20 * mebibyte);
        const writer = await driver.writer(`/uploads/${name}/data`, { append: true, to: `/large/${name}` });
        try {
          for (let at = start; at < end; at += 65_536)
            await writer.write(source.subarray(at, Math.min(end, at + 65_536)));
          await writer.commit(`/large/${name}`);
          stored.set(`/large/${name}`, { start, end });
        } catch (error) {
          await writer.cancel().catch(() => undefined);
          throw error;
        } finally {
          await driver.delete(`/uploads/${name}`).catch(() => undefined);
        }
      },
      async (name) => {
        const start = Math.floor(Math.random() * mebibyte);
        const path = `/uploads/${name}/data`;
        let end = start;
        for (let pieces = 0; pieces < 3; pieces += 1) {
          const writer = await driver.writer(path, { append: true });
          if (writer.size !== end - start) wrong.push(`${path}: ${writer.size} of ${end - start} bytes were kept`);
          const next = end + 1 + Math.floor(Math.random() * 3 * mebibyte);
          await writer.write(source.subarray(end, next));
          await writer.close();
          end = next;
        }
        await (await driver.writer(path, { append: true })).commit(`/pieces/${name}`);
        stored.set(`/pieces/${name}`, { start, end });
        await driver.delete(`/uploads/${name}`).catch(() => undefined);
      },
      async () => {
        const paths = [...stored.keys()];
        const path = paths[Math.floor(Math.random() * paths.length)];
        const range = path === undefined ? undefined : stored.get(path);
        if (path !== undefined && range !== undefined) await check(driver, path, range);
      },
      async () => {
        let before = '';
        for await (const { name } of driver.list('/small')) {
          if (name <= before) wrong.push(`${name} is listed behind ${before}`);
          before = name;
        }
      },
    ];
    const lane = async () => {
      while (Date.now() < until) {
        count += 1;
        try {
          await kinds[Math.floor(Math.random() * kinds.length)]?.(`n${count}`);
          done += 1;
        } catch (error) {
          if (error instanceof StorageError && error.code === 'STORAGE_UNAVAILABLE') unavailable += 1;
          else wrong.push(String(error));
        }
      }
    };
    const sampling = setInterval(() => rss.push(process.memoryUsage.rss()), 500);
    await Promise.all(Array.from({ length: Number(lanes) }, lane));
    clearInterval(sampling);
    const truth = createDriver('s3', JSON.parse(calm) as Record<string, unknown>);
    for (const [path, range] of stored) await check(truth, path, range);
    await truth.close?.();
    say({ done, unavailable, wrong, rss } satisfies LoadResult);
  },
};

const [task = '', ...args] = process.argv.slice(2);
const driver = createDriver('s3', JSON.parse(process.env.PARAMETERS ?? '{}') as Record<string, unknown>);
const run = tasks[task];
if (run === undefined) throw new TypeError(`no such task: ${task}`);
await run(driver, ...args);
await driver.close?.();
