import { createHash } from 'node:crypto';
import type { ListedObject } from './list-answer.ts';

/**
 * What writers with `append` keep: objects of their own, each named by the number of bytes before it.
 *
 *     <key>.berth/0000000000000000      the first 10 MiB
 *     <key>.berth/0000000010485760      what came then
 *     <key>.berth/upload-<nonce>        a multipart upload that was begun and has not ended: see multipart.ts
 *     <key>.berth/aside-<nonce>         bytes of such an upload that wait for more: see writer.ts
 *
 * A name can be taken once (`If-None-Match: *`), so of two that go on behind the same bytes one wins; nothing is ever
 * written over, and a listing tells all. Parts of a multipart upload would not do: they cannot be read, must have 5 MiB,
 * and of two with one number the last one wins.
 */
export interface Chunk {
  readonly key: string;
  /** First byte within the whole. */
  readonly start: number;
  readonly size: number;
  /** Without quotes. */
  readonly etag: string;
  readonly modified: Date | undefined;
}

export class Chain {
  /** Key of the path that the bytes are kept for. */
  readonly owner: string;
  #chunks: Chunk[] = [];
  #size = 0;
  #version = '';

  constructor(owner: string) {
    this.owner = owner;
  }

  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  get size(): number {
    return this.#size;
  }

  /** Stands for the bytes: two chains with the same version have the same ones. */
  get version(): string {
    return `${this.#size}-${this.#version}`;
  }

  /** Of the next chunk. */
  get nextKey(): string {
    return folderOf(this.owner) + String(this.#size).padStart(16, '0');
  }

  add(size: number, quotedEtag: string | undefined, modified: Date | undefined): void {
    const etag = unquoted(quotedEtag);
    this.#chunks.push({ key: this.nextKey, start: this.#size, size, etag, modified });
    this.#size += size;
    this.#version = createHash('sha256').update(`${this.#version} ${size} ${etag}`).digest('hex').slice(0, 32);
  }

  copy(): Chain {
    const copy = new Chain(this.owner);
    copy.#chunks = this.#chunks.slice();
    copy.#size = this.#size;
    copy.#version = this.#version;
    return copy;
  }

  /**
   * Adds what a listing has, in its order. What does not follow on the bytes before belongs to nothing.
   *
   * @returns whether it does
   */
  addListed(object: ListedObject): boolean {
    if (object.key !== this.nextKey || object.size === 0) return false;
    this.add(object.size, object.etag, object.modified);
    return true;
  }

  /** Whether a listed object is the last chunk. */
  endsWith({ key, size, etag }: ListedObject): boolean {
    const last = this.#chunks.at(-1);
    return last !== undefined && key === last.key && size === last.size && unquoted(etag) === last.etag;
  }
}

const suffix = '.berth/';

/** The prefix of all that is kept for a key. */
export function folderOf(key: string): string {
  return key + suffix;
}

/** What a writer has put aside for itself: it is no chunk, and means nothing to anybody else. */
export function asideKey(key: string, nonce: string): string {
  return `${folderOf(key)}aside-${nonce}`;
}

/** The record of a multipart upload, to be stored under this key. */
export function recordKey(key: string, nonce: string): string {
  return `${folderOf(key)}upload-${nonce}`;
}

export function isRecordKey(key: string): boolean {
  return /\.berth\/upload-[^/]+$/.test(key);
}

function unquoted(etag = ''): string {
  return etag.replaceAll('"', '');
}
