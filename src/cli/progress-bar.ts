import type { WriteStream } from 'node:tty';
import { formatBytes } from './byte-size.ts';

export interface Progress {
  readonly images: { readonly done: number; readonly total: number };
  readonly bytes: { readonly done: number; readonly total: number };
}

/** A line at the bottom of a terminal that says how far something is. */
export interface ProgressBar {
  update(progress: Progress): void;
  /** Writes lines above it. */
  above(write: () => void): void;
  /** Takes it away. */
  end(): void;
}

/** Between two drawings, in milliseconds. */
const drawTime = 100;

/** The rate is that of this time, in milliseconds. */
const rateTime = 5_000;

const width = 24;

/** @param stream where that is no terminal, nothing is drawn */
export function createProgressBar(
  stream: Pick<WriteStream, 'write' | 'isTTY' | 'columns'>,
  now: () => number = Date.now,
): ProgressBar {
  if (!stream.isTTY) return { update: () => {}, above: (write) => write(), end: () => {} };
  const samples: { time: number; bytes: number }[] = [{ time: now(), bytes: 0 }];
  let drawn = 0;
  let last: Progress | undefined;

  function clear(): void {
    if (last !== undefined) stream.write('\r\x1b[K');
  }
  function draw(progress: Progress): void {
    const time = now();
    samples.push({ time, bytes: progress.bytes.done });
    while (samples.length > 2 && (samples[1]?.time ?? time) < time - rateTime) samples.shift();
    const [first = { time, bytes: 0 }] = samples;
    const rate = time > first.time ? (1000 * (progress.bytes.done - first.bytes)) / (time - first.time) : 0;
    clear();
    // A line that is broken could not be taken back.
    stream.write(lineOf(progress, rate).slice(0, (stream.columns || 80) - 1));
    drawn = time;
  }

  return {
    update(progress) {
      if (last !== undefined && now() - drawn < drawTime) return;
      draw(progress);
      last = progress;
    },
    above(write) {
      clear();
      write();
      if (last !== undefined) draw(last);
    },
    end() {
      clear();
      last = undefined;
    },
  };
}

/** @param rate bytes in a second */
function lineOf({ images, bytes }: Progress, rate: number): string {
  const share = bytes.total === 0 ? 0 : bytes.done / bytes.total;
  const full = Math.round(share * width);
  const bar = `[${'#'.repeat(full)}${'-'.repeat(width - full)}]`;
  const sizes = `${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`;
  return `${bar} ${sizes}, ${formatBytes(Math.round(rate))}/s, ${images.done} of ${images.total} images`;
}
