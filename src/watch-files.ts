import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** How often files are looked at, in milliseconds. */
const pollInterval = 1_000;

/** A file that is being written is left alone until it has been the same for so long, in milliseconds. */
const settleTime = 100;

export interface FileWatch {
  /** Reads them now; after what is being read, if something is. */
  readNow(): Promise<void>;
  close(): void;
}

/**
 * Reads files again when they are others than before, whichever way they were replaced: in place, by a rename, behind a link.
 * One reading at a time. What was read while somebody wrote is not used.
 *
 * @param read must not reject; what it resolves with puts to use what was read
 */
export function watchFiles(paths: readonly string[], read: () => Promise<() => unknown>): FileWatch {
  const closing = new AbortController();
  const { signal } = closing;
  const pause = (milliseconds: number) => delay(milliseconds, undefined, { ref: false, signal }).catch(() => undefined);
  let seen = signatureOf(paths);
  let reading = Promise.resolve();

  async function readWhole(): Promise<void> {
    while (!signal.aborted) {
      const before = await signatureOf(paths);
      await pause(settleTime);
      const use = await read();
      if ((await signatureOf(paths)) !== before) continue;
      seen = Promise.resolve(before);
      await use();
      return;
    }
  }

  const readNow = () => {
    reading = reading.then(readWhole);
    return reading;
  };

  async function poll(): Promise<void> {
    while (!signal.aborted) {
      await pause(pollInterval);
      // Waits for its turn, so that a file system that hangs does not gather questions.
      await reading;
      if (!signal.aborted && (await signatureOf(paths)) !== (await seen)) await readNow();
    }
  }
  void poll();

  return { readNow, close: () => closing.abort() };
}

async function signatureOf(paths: readonly string[]): Promise<string> {
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return found.map((one) => one && `${one.ino} ${one.size} ${one.mtimeMs} ${one.ctimeMs}`).join('\n');
}
