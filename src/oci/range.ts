/** First and last byte of a part, both inclusive. */
export interface Part {
  start: number;
  end: number;
}

/**
 * The parts of a content of `size` bytes that a `Range` header asks for (RFC 9110, 14.1.2), in the order asked for.
 * Ends beyond the content are clipped, parts wholly beyond it are left out.
 *
 * @returns undefined when it is no list of byte ranges, and so to be ignored (14.2); empty when no part can be served: all
 * are beyond the content, or one ends before it begins
 */
export function parseRange(header: string, size: number): Part[] | undefined {
  const list = /^bytes=(.+)$/i.exec(header.trim())?.[1]?.split(',');
  if (list === undefined) return undefined;
  const parts: Part[] = [];
  for (const item of list) {
    const [, first = '', last = ''] = /^\s*(\d*)-(\d*)\s*$/.exec(item) ?? [];
    if (first === '' && last === '') return undefined;
    if (first === '') {
      const length = Math.min(Number(last), size);
      if (length > 0) parts.push({ start: size - length, end: size - 1 });
      continue;
    }
    const start = Number(first);
    const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
    if (last !== '' && Number(last) < start) return [];
    if (start < size) parts.push({ start, end });
  }
  return parts;
}

/**
 * The `Content-Range` of an upload's chunk: `start-end`, inclusive, without a unit (distribution-spec, "Pushing a blob
 * in chunks"). `bytes start-end/total`, as RFC 9110 writes it, is understood too.
 *
 * @returns undefined when it is neither
 */
export function parseChunkRange(header: string): Part | undefined {
  const [, start, end] = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header.trim()) ?? [];
  if (start === undefined || end === undefined || Number(end) < Number(start)) return undefined;
  return { start: Number(start), end: Number(end) };
}
