import { randomBytes } from 'node:crypto';
import { describe, expect, test, vi } from 'vitest';
import { Body } from './body.ts';

const kib = 1024;
const content = randomBytes(1_500 * kib);

function bodyOf(size?: number) {
  const control = { resume: vi.fn(), abort: vi.fn() };
  return { control, body: new Body(control, size) };
}

/** As the kernel does it. @returns whether more should come */
function put(body: Body, bytes: Buffer): boolean {
  return body.added(bytes.copy(body.space()));
}

describe('a body', () => {
  test('has right bytes, however many come after it has said stop', async () => {
    const { control, body } = bodyOf();
    const sizes = [100, 200, 300, 400, 500].map((size) => size * kib);
    let at = 0;
    const goesOn = sizes.map((size) => {
      at += size;
      return body.push(content.subarray(at - size, at));
    });
    expect(goesOn).toEqual([true, true, false, false, false]);
    expect(body.isFull).toBe(true);
    const chunks: Buffer[] = [];
    for await (const chunk of body) {
      chunks.push(Buffer.from(chunk));
      // What has not found room yet is not forgotten at the end.
      if (chunks.length === 1) body.end();
    }
    expect(Buffer.concat(chunks).equals(content)).toBe(true);
    expect(control.abort).not.toHaveBeenCalled();
  });

  test('asks for more once there is room', async () => {
    const { control, body } = bodyOf();
    while (put(body, content));
    const chunks = body[Symbol.asyncIterator]();
    await chunks.next();
    expect(control.resume).not.toHaveBeenCalled();
    await chunks.next();
    expect(control.resume).toHaveBeenCalledOnce();
    await chunks.return(undefined);
    expect(control.abort).toHaveBeenCalledOnce();
  });

  test('gives its memory to the next one when it was read to its end, and takes little for a few bytes', async () => {
    const first = bodyOf().body;
    const memory = first.space().buffer;
    put(first, content.subarray(0, kib));
    first.end();
    for await (const chunk of first) expect(chunk.length).toBe(kib);
    expect(bodyOf().body.space().buffer).toBe(memory);
    expect(bodyOf(10).body.space()).toHaveLength(11);
  });

  test.each([
    ['size', 9, 1_000, 'longer than 9 bytes'],
    ['time', 100, 20, 'not complete after 20 ms'],
  ] as const)('that is to be small is refused by its %s', async (limit, size, within, message) => {
    const { control, body } = bodyOf();
    body.push(content.subarray(0, 10));
    await expect(body.bytes(size, within)).rejects.toMatchObject({ limit, message: expect.stringContaining(message) });
    expect(control.abort).toHaveBeenCalledOnce();
  });

  test('that breaks gives what has come, and then why', async () => {
    const { body } = bodyOf();
    body.push(content.subarray(0, 10));
    body.end(new Error('broken'));
    const chunks = body[Symbol.asyncIterator]();
    expect((await chunks.next()).value).toHaveLength(10);
    await expect(chunks.next()).rejects.toThrow('broken');
  });
});
