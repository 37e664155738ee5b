import { stat } from 'node:fs/promises';

/** How often files are looked at, in milliseconds. */
const pollInterval = 1_000;

/** Calls when one of the files is another one than before, whichever way it was replaced. */
export function watchFiles(paths: readonly string[], changed: () => Promise<void>): { close(): void } {
  const look = () => Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  const signature = async () =>
    (await look()).map((found) => found && `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`).join('\n');
  let before = signature();
  const timer = setInterval(async () => {
    const now = await signature();
    if (now === (await before)) return;
    before = Promise.resolve(now);
    await changed();
  }, pollInterval);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
