import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Content } from './content.ts';

describe('content of pushes', () => {
  const content = new Content(3 << 20);

  it('has the size and the digest that it says', () => {
    const bytes = Buffer.concat([...content.plain(7)]);
    expect(bytes.length).toBe(content.size);
    expect(content.digest(7)).toBe(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  });

  it('differs from number to number, also when two are read side by side', () => {
    const [one, two] = [content.plain(1), content.plain(2)];
    const first = [one.next().value, two.next().value];
    expect(first[0]?.subarray(0, 8)).not.toEqual(first[1]?.subarray(0, 8));
    expect(content.digest(1)).not.toBe(content.digest(2));
  });

  it('does not compress: no byte is much more frequent than another', () => {
    const counts = new Array<number>(256).fill(0);
    for (const slice of content.plain(1)) for (const byte of slice) counts[byte] = (counts[byte] ?? 0) + 1;
    expect(Math.max(...counts) / Math.min(...counts)).toBeLessThan(1.2);
  });

  it('is the same bytes as a chunked body', () => {
    const framed = Buffer.concat([...content.chunked(9)]);
    const parts: Buffer[] = [];
    let offset = 0;
    for (;;) {
      const end = framed.indexOf('\r\n', offset);
      const length = Number.parseInt(framed.toString('latin1', offset, end), 16);
      if (length === 0) break;
      parts.push(framed.subarray(end + 2, end + 2 + length));
      offset = end + 2 + length + 2;
    }
    expect(framed.toString('latin1', offset)).toBe('0\r\n\r\n');
    expect(Buffer.concat(parts).equals(Buffer.concat([...content.plain(9)]))).toBe(true);
  });

  it('refuses sizes that it cannot cut', () => {
    expect(() => new Content(100)).toThrow(TypeError);
  });
});
