import fs from 'node:fs';

/**
 * The asynchronous calls of the data path, on bare file descriptors: reading a small file this way takes 20–40 µs of
 * CPU, with the FileHandle of `fs/promises` 70 µs. Who opens a descriptor closes it exactly once.
 */

function result<T>(start: (done: (error: NodeJS.ErrnoException | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value)));
  });
}

function completion(start: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}

/**
 * Writes and syncs that may run at once. All asynchronous calls share the threads of Node's pool, and a slow disk keeps
 * each of these for tens of milliseconds; one thread stays free of them, so that reads go on while others push.
 */
const slots = Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || 4) - 1);
const waiting: (() => void)[] = [];
let taken = 0;

async function slowly<T>(operation: () => Promise<T>): Promise<T> {
  if (taken < slots) taken += 1;
  else await new Promise<void>((resume) => waiting.push(resume));
  try {
    return await operation();
  } finally {
    const next = waiting.shift();
    // The slot goes to the next one in line.
    if (next === undefined) taken -= 1;
    else next();
  }
}

/** Files get 0666 and folders 0777 minus the umask, as distribution's do. */
export const open = (path: string, flags: number, mode = 0o666) =>
  result<number>((done) => fs.open(path, flags, mode, done));
export const close = (fd: number) => completion((done) => fs.close(fd, done));
export const stat = (path: string) => result<fs.Stats>((done) => fs.stat(path, done));
export const rename = (from: string, to: string) => completion((done) => fs.rename(from, to, done));
export const symlink = (target: string, path: string) => completion((done) => fs.symlink(target, path, done));
export const unlink = (path: string) => completion((done) => fs.unlink(path, done));
export const fsync = (fd: number) => slowly(() => completion((done) => fs.fsync(fd, done)));
export const fdatasync = (fd: number) => slowly(() => completion((done) => fs.fdatasync(fd, done)));

/** Reads up to `length` bytes; fewer at the end of the file, or when the system likes. */
export const read = (fd: number, into: Buffer, offset: number, length: number, position: number) =>
  result<number>((done) => fs.read(fd, into, offset, length, position, done));

/** Writes at the descriptor's own position; possibly fewer bytes than given. */
export function write(fd: number, chunks: readonly Uint8Array[]): Promise<number> {
  const [first] = chunks;
  return slowly(() =>
    result<number>((done) => {
      if (chunks.length === 1 && first !== undefined) fs.write(fd, first, 0, first.length, null, done);
      else fs.writev(fd, chunks, null, done);
    }),
  );
}

/** Writes all of it. `chunks` is used up. */
export async function writeAll(fd: number, chunks: Uint8Array[], wrote?: (bytes: number) => void): Promise<void> {
  while (chunks.length > 0) {
    let written = await write(fd, chunks);
    wrote?.(written);
    let whole = 0;
    for (const chunk of chunks) {
      if (written < chunk.length) break;
      written -= chunk.length;
      whole += 1;
    }
    chunks.splice(0, whole);
    const [first] = chunks;
    if (first !== undefined && written > 0) chunks[0] = first.subarray(written);
  }
}
