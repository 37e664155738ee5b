import { write, writeSync } from 'node:fs';

/** Where lines go. A line ends with a line feed. */
export interface LogDestination {
  write(line: string): void;
  /** Writes what is buffered, before it returns. */
  flushSync?(): void;
}

/** Lines are collected until they have this many characters, or this many milliseconds have passed. */
const batch = 4096;
const batchTime = 1000;

/** What is handed over at once, in bytes. What a crash finds half written is lost. */
const pieceSize = 64 * 1024;

/** What is kept, in characters, while nobody takes the log. Lines beyond it are lost: the server must go on. */
const maxBuffered = 16 * 1024 * 1024;

/** How often a pipe that is full is tried again, in milliseconds; and how many times in vain, when the process wants to end. */
const retryTime = 5;
const maxRetries = 200;

const nothing: Buffer = Buffer.alloc(0);

/**
 * Writes to a file descriptor without making the caller wait. What is buffered is written when the process exits, also
 * after an uncaught fault. A log that cannot be written (full disk, closed pipe) loses lines and does no further harm:
 * it neither ends the process nor keeps it from ending, which is why this is not pino's own destination.
 */
export function bufferedDestination(fd: number): LogDestination {
  let collected = '';
  /** Collected before, and next to be written; its first `writing` bytes just now are. */
  let rest = nothing;
  let writing = 0;
  let timer: NodeJS.Timeout | undefined;

  const later = (time: number) => {
    timer ??= setTimeout(writePiece, time).unref();
  };

  const writePiece = () => {
    clearTimeout(timer);
    timer = undefined;
    if (rest.length === 0) {
      rest = Buffer.from(collected);
      collected = '';
    }
    writing = Math.min(rest.length, pieceSize);
    write(fd, rest, 0, writing, null, (error, written) => {
      const full = error?.code === 'EAGAIN';
      rest = rest.subarray(error === null ? written : full ? 0 : writing);
      writing = 0;
      if (full) later(retryTime);
      else if (rest.length > 0 || collected.length >= batch) writePiece();
      else if (collected !== '') later(batchTime);
    });
  };

  const flushSync = () => {
    let bytes: Buffer = Buffer.concat([rest.subarray(writing), Buffer.from(collected)]);
    rest = nothing;
    collected = '';
    for (let retries = 0; bytes.length > 0 && retries < maxRetries; ) {
      try {
        bytes = bytes.subarray(writeSync(fd, bytes));
        retries = 0;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        retries += 1;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, retryTime);
      }
    }
  };
  process.on('exit', flushSync);

  return {
    write(line) {
      if (collected.length + line.length > maxBuffered) return;
      collected += line;
      if (writing > 0 || rest.length > 0) return;
      if (collected.length >= batch) writePiece();
      else later(batchTime);
    },
    flushSync,
  };
}
