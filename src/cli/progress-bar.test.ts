import { describe, expect, it } from 'vitest';
import { createProgressBar } from './progress-bar.ts';

function terminal(isTTY: boolean, columns = 200) {
  const written: string[] = [];
  const stream = {
    isTTY,
    columns,
    write: (text: string) => {
      written.push(text);
      return true;
    },
  };
  return { stream: stream as never, written, text: () => written.join('') };
}

const progress = (done: number, total: number, images = 0) => ({
  images: { done: images, total: 3 },
  bytes: { done, total },
});
const mebibyte = 1024 * 1024;

describe('a progress bar', () => {
  it('shows bytes, their rate and images', () => {
    const { stream, text } = terminal(true);
    let time = 0;
    const bar = createProgressBar(stream, () => time);
    time = 1000;
    bar.update(progress(3 * mebibyte, 12 * mebibyte, 1));
    expect(text()).toBe(`[${'#'.repeat(6)}${'-'.repeat(18)}] 3.00 MiB of 12.0 MiB, 3.00 MiB/s, 1 of 3 images`);
  });

  it('is not drawn more often than one can see', () => {
    const { stream, written } = terminal(true);
    let time = 0;
    const bar = createProgressBar(stream, () => time);
    for (time = 0; time < 1000; time += 1) bar.update(progress(time, 1000));
    expect(written.filter((text) => text.startsWith('['))).toHaveLength(10);
  });

  it('makes room for lines, and goes', () => {
    const { stream, written } = terminal(true);
    const bar = createProgressBar(stream);
    bar.update(progress(1, 2));
    const drawn = written[0];
    bar.above(() => void written.push('a line\n'));
    bar.end();
    expect(written).toEqual([
      drawn,
      '\r\x1b[K',
      'a line\n',
      '\r\x1b[K',
      expect.stringContaining('1 B of 2 B'),
      '\r\x1b[K',
    ]);
  });

  it('fits the terminal', () => {
    const { stream, text } = terminal(true, 30);
    createProgressBar(stream).update(progress(1, 2));
    expect(text()).toHaveLength(29);
  });

  it('is not there in a pipe', () => {
    const { stream, written } = terminal(false);
    const bar = createProgressBar(stream);
    bar.update(progress(1, 2));
    bar.above(() => void written.push('a line\n'));
    bar.end();
    expect(written).toEqual(['a line\n']);
  });
});
