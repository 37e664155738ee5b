import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { octetStream } from '../../oci/descriptor.ts';
import { digestOf } from '../../oci/digest.ts';
import type { Part } from '../../oci/range.ts';
import type { Blob } from '../../registry/registry.ts';
import type { StreamBody } from '../reply.ts';
import { multipart } from './byte-ranges.ts';

const kibibyte = 1024;

/** A blob that counts how often it is opened, and gives chunks that no part begins or ends with. */
function blobOf(content: Buffer) {
  const reads: (Part | undefined)[] = [];
  const blob: Blob = {
    descriptor: { mediaType: octetStream, digest: digestOf(content), size: content.length },
    async open(range) {
      reads.push(range);
      const bytes = range === undefined ? content : content.subarray(range.start, range.end + 1);
      return {
        size: bytes.length,
        async *[Symbol.asyncIterator]() {
          for (let start = 0; start < bytes.length; start += 977) yield bytes.subarray(start, start + 977);
        },
        async close() {},
      };
    },
    redirectUrl: async () => undefined,
  };
  return { blob, reads };
}

async function sent(content: Buffer, parts: readonly Part[]) {
  const { blob, reads } = blobOf(content);
  const body = multipart(blob, {}, parts)?.body as StreamBody | undefined;
  if (body === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await body.open()) chunks.push(Uint8Array.from(chunk));
  const bytes = Buffer.concat(chunks);
  expect(bytes.length).toBe(body.size);
  return { bytes, reads };
}

/** As they stand in the answer, behind their heads. */
function partsIn(bytes: Buffer): { range: string; content: Buffer }[] {
  const text = bytes.toString('latin1');
  const heads = [
    ...text.matchAll(/--[\w-]+\r\nContent-Type: [\w/-]+\r\nContent-Range: (bytes (\d+)-(\d+)\/\d+)\r\n\r\n/g),
  ];
  return heads.map(({ 0: head, 1: range = '', 2: start, 3: end, index }) => {
    const first = index + head.length;
    return { range, content: bytes.subarray(first, first + Number(end) - Number(start) + 1) };
  });
}

const every = (count: number, step: number, length = 1): Part[] =>
  Array.from({ length: count }, (_, index) => ({ start: index * step, end: index * step + length - 1 }));

describe('several parts of a blob', () => {
  test.each([
    ['side by side', every(3, 100, 100)],
    ['with gaps', every(1024, 2)],
    ['in any order', [...every(8, 1000, 300)].reverse()],
    [
      'that overlap',
      [
        { start: 0, end: 5000 },
        { start: 4000, end: 9000 },
      ],
    ],
    ['longer than chunks', every(4, 5000, 4000)],
  ] as const)('%s come in their order, each with its bytes', async (_, parts) => {
    const content = randomBytes(20_000);
    const answer = await sent(content, parts);
    const found = partsIn(answer?.bytes ?? Buffer.alloc(0));
    expect(found.map(({ range }) => range)).toEqual(parts.map(({ start, end }) => `bytes ${start}-${end}/20000`));
    for (const [index, { start, end }] of parts.entries()) {
      expect(found[index]?.content.equals(content.subarray(start, end + 1))).toBe(true);
    }
  });

  test('that are near each other cost one read', async () => {
    const content = randomBytes(4 * kibibyte * kibibyte);
    expect((await sent(content, every(1024, 2)))?.reads).toHaveLength(1);
    expect((await sent(content, every(60, 64 * kibibyte)))?.reads).toHaveLength(1);
  });

  test('that are far from each other cost a read each, while they are few or large', async () => {
    const content = randomBytes(32 * kibibyte * kibibyte);
    expect((await sent(content, every(16, 100 * kibibyte)))?.reads).toHaveLength(16);
    expect(await sent(content, every(17, 100 * kibibyte))).toBeUndefined();
    expect((await sent(content, every(24, 1024 * kibibyte, 256 * kibibyte)))?.reads).toHaveLength(24);
  });

  test('that are many and in no order are not worth it', async () => {
    expect(await sent(randomBytes(20_000), every(1024, 2).reverse())).toBeUndefined();
  });
});
