import { describe, expect, test } from 'vitest';
import { type Part, planParts } from './assemble.ts';
import { minPartSize } from './options.ts';
import { createRandom } from './testing/random.ts';

const mebibyte = 1024 * 1024;

/** Chunks of these many MiB, called a, b, c, … */
function chunksOf(...sizes: readonly number[]) {
  return sizes.map((size, index) => ({ key: String.fromCharCode(97 + index), size: size * mebibyte }));
}

/** `a[0-5]` for a copy, `(a[0-1] b[0-4])` for what is gathered, `+tail` where memory follows; in MiB. */
function show(parts: readonly Part[]): string {
  const range = ({ key, start, end }: { key: string; start: number; end: number }) =>
    `${key}[${start / mebibyte}-${end / mebibyte}]`;
  return parts
    .map((part) =>
      'copy' in part ? range(part.copy) : `(${part.gather.map(range).join(' ')})${part.tail ? '+tail' : ''}`,
    )
    .join(' ');
}

describe('what is kept is cut into parts', () => {
  test.each([
    ['nothing', [], 0, 32, ''],
    ['only memory', [], 3, 32, '()+tail'],
    ['one chunk', [10], 0, 32, 'a[0-10]'],
    ['a chunk and memory', [10], 1, 32, 'a[0-10] ()+tail'],
    ['chunks of full size', [10, 10, 10], 0, 32, 'a[0-10] b[0-10] c[0-10]'],
    ['a small one in the end', [10, 2], 0, 32, 'a[0-10] (b[0-2])+tail'],
    ['a small one between', [10, 2, 10], 0, 32, 'a[0-10] (b[0-2] c[0-3]) c[3-10]'],
    ['a rest that is too small', [2, 6], 0, 32, '(a[0-2] b[0-3]) (b[3-6])+tail'],
    ['many small ones', [1, 1, 1, 1, 1, 1], 1, 32, '(a[0-1] b[0-1] c[0-1] d[0-1] e[0-1]) (f[0-1])+tail'],
    ['a small one that takes all of the next', [2, 3, 10], 0, 32, '(a[0-2] b[0-3]) c[0-10]'],
    ['a large one', [100], 0, 32, 'a[0-32] a[32-64] a[64-100]'],
    ['a large one behind a small one', [1, 100], 0, 32, '(a[0-1] b[0-4]) b[4-36] b[36-68] b[68-100]'],
  ] as const)('%s', (_, sizes, tail, copySize, expected) => {
    const text = show(planParts(chunksOf(...sizes), tail * mebibyte, copySize * mebibyte));
    expect(text).toBe(expected);
  });

  test('that have every byte once and in order, whatever the sizes', () => {
    const random = createRandom(20_261_121);
    for (let round = 0; round < 2000; round += 1) {
      const chunks = Array.from({ length: Math.floor(random() * 12) }, (_, index) => ({
        key: `chunk-${index}`,
        size: 1 + Math.floor(random() ** 3 * 120 * mebibyte),
      }));
      const tail = random() < 0.3 ? 0 : Math.floor(random() * 10 * mebibyte);
      const copySize = minPartSize + Math.floor(random() * 40 * mebibyte);
      const parts = planParts(chunks, tail, copySize);

      const sources = parts.flatMap((part) => ('copy' in part ? [part.copy] : part.gather));
      let [index, position] = [0, 0];
      for (const { key, start, end } of sources) {
        expect([key, start]).toEqual([chunks[index]?.key, position]);
        expect(end).toBeGreaterThan(start);
        expect(end).toBeLessThanOrEqual(chunks[index]?.size ?? 0);
        [index, position] = end === chunks[index]?.size ? [index + 1, 0] : [index, end];
      }
      expect([index, position]).toEqual([chunks.length, 0]);

      parts.forEach((part, at) => {
        const taken = 'copy' in part ? [part.copy] : part.gather;
        const size = taken.reduce((sum, { start, end }) => sum + end - start, 0);
        const last = at === parts.length - 1;
        if (!last) expect(size).toBeGreaterThanOrEqual(minPartSize);
        if ('copy' in part) expect(size).toBeLessThan(2 * copySize);
        else expect(part.tail).toBe(last && (tail > 0 || size < minPartSize));
      });
      const lastPart = parts.at(-1);
      if (tail > 0) expect(lastPart !== undefined && 'gather' in lastPart && lastPart.tail).toBe(true);
    }
  });
});
