/**
 * A process of its own on a storage folder, for tests that need one: `child.js <task> <root> <argument…>`. It prints
 * one line of JSON per step and is often killed in the middle.
 */
import { type StorageDriver, StorageError } from '../../driver.ts';
import { pattern } from '../../testing/fixture.ts';
import { withCheckedPaths } from '../../wrappers/checked-paths.ts';
import { createFilesystemDriver } from '../driver.ts';

type Task = (driver: StorageDriver, ...args: string[]) => Promise<void>;

function say(step: unknown): void {
  process.stdout.write(`${JSON.stringify(step)}\n`);
}

const tasks: Readonly<Record<string, Task>> = {
  /** Replaces one object and makes others in new folders, without end. */
  async put(driver) {
    const versions = [Buffer.alloc(1024 * 1024, 'a'), Buffer.alloc(900_000, 'b')];
    for (let round = 0; ; round += 1) {
      await Promise.all([
        driver.put('/replaced/object', versions[round % 2] ?? Buffer.alloc(0)),
        driver.put(`/made/${round}/current/link`, Buffer.from(`link ${round}`)),
      ]);
      say(round);
    }
  },

  /** Keeps a part of `pattern`, then goes on to write the rest in small pieces, without end. */
  async append(driver, path = '', kept = '', total = '') {
    const content = pattern(Number(total));
    const first = await driver.writer(path, { append: true });
    await first.write(content.subarray(0, Number(kept)));
    await first.close();
    const second = await driver.writer(path, { append: true });
    for (let position = second.size; position < content.length; position += 10_000) {
      await second.write(content.subarray(position, position + 10_000));
      say(second.size);
    }
    // Held until this process is killed.
    await new Promise(() => setInterval(() => undefined, 1000));
  },

  /** Adds records to an object that other processes add to as well. */
  async contend(driver, path = '', letter = '', records = '') {
    for (let left = Number(records); left > 0; ) {
      try {
        const writer = await driver.writer(path, { append: true });
        await writer.write(Buffer.alloc(500, letter));
        await writer.write(Buffer.alloc(500, letter));
        await writer.close();
        left -= 1;
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== 'WRITER_BUSY') throw error;
      }
    }
    say('done');
  },

  /** Tries each call as the user nobody, and says what came of it. */
  async unprivileged(driver, ...paths) {
    if (process.getuid?.() === 0) {
      process.setgid?.(65534);
      process.setuid?.(65534);
    }
    const attempt = async (call: string, path: string, run: () => Promise<unknown>) => {
      const outcome = await run().then(
        () => 'ok',
        (error: unknown) =>
          error instanceof StorageError
            ? { code: error.code, path: error.path, message: error.message }
            : String(error),
      );
      say({ call, path, outcome });
    };
    await attempt('check', '/', async () => driver.check?.());
    await attempt('check for writing', '/', async () => driver.check?.({ write: true }));
    for (const path of paths) {
      await attempt('get', path, () => driver.get(path));
      await attempt('reader', path, async () => (await driver.reader(path)).close());
      await attempt('stat', path, () => driver.stat(path));
      await attempt('list', path, async () => {
        for await (const entry of driver.list(path)) if (entry.name === '') throw new Error('empty name');
      });
      await attempt('put', path, () => driver.put(`${path}/new`, Buffer.from('x')));
      await attempt('writer', path, async () => (await driver.writer(`${path}/new`, { append: true })).cancel());
      await attempt('delete', path, () => driver.delete(path));
    }
  },
};

const [task = '', root = '', ...args] = process.argv.slice(2);
const driver = withCheckedPaths(createFilesystemDriver({ rootdirectory: root, maxthreads: 100 }));
const run = tasks[task];
if (run === undefined) throw new TypeError(`no such task: ${task}`);
await run(driver, ...args);
