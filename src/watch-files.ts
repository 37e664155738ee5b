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
 * One reading at a time, and again when a file changed while it was read.
 *
 * @param read must not reject
 */
export function watchFiles(paths: readonly string[], read: () => Promise<void>): FileWatch {
  const closing = new AbortController();
  const { signal } = closing;
  let seen = signatureOf(paths);
  let reading = Promise.resolve();

  async function readUntilStable(): Promise<void> {
    for (;;) {
      const before = await signatureOf(paths);
      await read();
      seen = Promise.resolve(before);
      if ((await signatureOf(paths)) === before || signal.aborted) return;
    }
  }

  const readNow = () => {
    reading = reading.then(readUntilStable);
    return reading;
  };

  async function poll(): Promise<void> {
    while (!signal.aborted) {
      await delay(pollInterval, undefined, { ref: false, signal }).catch(() => undefined);
      // Waits for its turn, so that a file system that hangs does not gather questions.
      await reading;
      if ((await signatureOf(paths)) === (await seen)) continue;
      let before: string;
      do {
        before = await signatureOf(paths);
        await delay(settleTime, undefined, { ref: false, signal }).catch(() => undefined);
      } while (!signal.aborted && (await signatureOf(paths)) !== before);
      if (!signal.aborted) await readNow();
    }
  }
  void poll();

  return { readNow, close: () => closing.abort() };
}

async function signatureOf(paths: readonly string[]): Promise<string> {
  const found = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  return found.map((one) => one && `${one.ino} ${one.size} ${one.mtimeMs} ${one.ctimeMs}`).join('\n');
}
