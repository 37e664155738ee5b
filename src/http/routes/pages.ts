import { RegistryError } from '../../oci/errors.ts';
import type { Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';

/** Lists up to this many bytes get a `Content-Length`; longer ones are streamed. */
const bufferedLength = 256 * 1024;

/**
 * The `n` of a request: undefined when absent or empty, at most `max`.
 *
 * @throws RegistryError PAGINATION_NUMBER_INVALID
 */
export function pageSize(request: ApiRequest, max: number): number | undefined {
  const text = request.parameter('n');
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new RegistryError('PAGINATION_NUMBER_INVALID', { detail: { n: text.slice(0, 100) } });
  return Math.min(Number(text), max);
}

export interface Page<T> {
  readonly items: T[];
  /** Whether others follow. */
  readonly more: boolean;
}

/** The first `size` items. Looks one further, so that a full last page has no link to an empty one. */
export async function takePage<T>(source: AsyncIterable<T>, size: number): Promise<Page<T>> {
  const items: T[] = [];
  for await (const item of source) {
    if (items.length === size) return { items, more: size > 0 };
    items.push(item);
  }
  return { items, more: false };
}

/** `Link` to the next page (distribution-spec, "Listing Tags"), keeping the other parameters. */
export function nextLink(request: ApiRequest, path: string, parameters: [string, string][]): Record<string, string> {
  return { Link: `<${request.link(path)}?${new URLSearchParams(parameters)}>; rel="next"` };
}

/**
 * A JSON document around a list whose length nobody knows: `head`, the items, `tail`. The first items are awaited, so
 * that a fault at the start still becomes an error of its own.
 */
export async function jsonList(head: string, source: AsyncIterable<string>, tail: string): Promise<Reply> {
  const iterator = source[Symbol.asyncIterator]();
  const headers = { 'Content-Type': 'application/json' };
  let text = head;
  let separator = '';
  while (text.length < bufferedLength) {
    const { done, value } = await iterator.next();
    if (done) return { status: 200, headers, body: Buffer.from(text + tail) };
    text += separator + JSON.stringify(value);
    separator = ',';
  }
  async function* rest(): AsyncGenerator<Uint8Array> {
    for (let done: boolean | undefined = false; !done; text = '') {
      while (text.length < bufferedLength) {
        const next = await iterator.next();
        done = next.done;
        if (next.done) break;
        text += separator + JSON.stringify(next.value);
      }
      yield Buffer.from(text);
    }
    yield Buffer.from(tail);
  }
  return { status: 200, headers, body: { size: undefined, open: async () => rest() } };
}
