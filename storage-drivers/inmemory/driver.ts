import {
  InvalidOffsetError,
  ObjectTooLargeError,
  PathNotFoundError,
  type StorageDriver,
  StorageError,
  type StorageReader,
  WriterBusyError,
} from '../driver.ts';
import { MemoryTree } from './tree.ts';
import { createMemoryWriter } from './writer.ts';

const driverName = 'inmemory';

/** What several drivers share to act like several processes on one storage. */
export interface MemoryStore {
  readonly tree: MemoryTree;
  /** Paths that a writer has. */
  readonly busy: Set<string>;
}

export function createMemoryStore(): MemoryStore {
  return { tree: new MemoryTree(), busy: new Set() };
}

let lastId = 0;

/** Objects in memory, for tests and for trying things out: everything is gone when the process ends. */
export function createInMemoryDriver(store: MemoryStore = createMemoryStore()): StorageDriver {
  const { tree, busy } = store;

  const find = (path: string): Buffer => {
    const object = tree.object(path);
    if (object === undefined) throw new PathNotFoundError(driverName, path);
    return object.content;
  };
  const set = (path: string, content: Buffer, modified = new Date()): void => {
    if (tree.set(path, { content, modified, id: ++lastId })) return;
    throw new StorageError('STORAGE_FAULT', driverName, path, 'a folder has this path, or an object is in the way');
  };

  return {
    name: driverName,

    async get(path, options) {
      options?.signal?.throwIfAborted();
      const content = find(path);
      if (content.length > (options?.maxSize ?? Infinity))
        throw new ObjectTooLargeError(driverName, path, content.length);
      return content;
    },

    async put(path, content) {
      set(path, Buffer.from(content));
    },

    async putAll(objects) {
      for (const { path, content } of objects) set(path, Buffer.from(content));
    },

    async reader(path, { start = 0, end = Number.POSITIVE_INFINITY, signal } = {}) {
      signal?.throwIfAborted();
      const content = find(path);
      if (!(start >= 0 && start <= content.length)) throw new InvalidOffsetError(driverName, path, start);
      const range = content.subarray(start, Math.max(start, Math.min(end, content.length - 1) + 1));
      return readerOf(path, range, signal);
    },

    async writer(path, { append = false, marker } = {}) {
      if (marker !== undefined) [marker, path].forEach(find);
      if (busy.has(path)) throw new WriterBusyError(driverName, path);
      busy.add(path);
      const kept = append ? tree.object(path) : undefined;
      const drop = () => void tree.delete(path);
      return createMemoryWriter({
        path,
        append,
        kept: kept?.content ?? Buffer.alloc(0),
        version: () => String(tree.object(path)?.id ?? ''),
        readKept: async () => readerOf(path, kept?.content ?? Buffer.alloc(0)),
        store: set,
        drop,
        release: () => busy.delete(path),
      });
    },

    async kept(path, { marker, signal } = {}) {
      signal?.throwIfAborted();
      if (marker !== undefined) find(marker);
      const size = find(path).length;
      return { size, modified: size === 0 ? undefined : tree.object(path)?.modified };
    },

    async begin(path, marker) {
      set(marker.path, Buffer.from(marker.content));
      set(path, Buffer.alloc(0));
    },

    async stat(path, options) {
      options?.signal?.throwIfAborted();
      const object = tree.object(path);
      if (object !== undefined) return { kind: 'object', size: object.content.length, modified: object.modified };
      if (tree.isFolder(path)) return { kind: 'folder', size: 0, modified: undefined };
      throw new PathNotFoundError(driverName, path);
    },

    async *list(path, { after, signal } = {}) {
      signal?.throwIfAborted();
      for (const entry of tree.entries(path)) {
        signal?.throwIfAborted();
        if (after !== undefined && entry.name <= after) continue;
        yield entry;
      }
    },

    async move(from, to) {
      const object = tree.object(from);
      if (object === undefined) throw new PathNotFoundError(driverName, from);
      set(to, object.content, object.modified);
      tree.delete(from);
      return object.modified;
    },

    async delete(path) {
      if (!tree.delete(path)) throw new PathNotFoundError(driverName, path);
    },
  };
}

function readerOf(path: string, content: Buffer, signal?: AbortSignal): StorageReader {
  let closed = false;
  return {
    size: content.length,
    async *[Symbol.asyncIterator]() {
      for (let position = 0; position < content.length; position += chunkSize) {
        signal?.throwIfAborted();
        if (closed) throw new StorageError('STORAGE_FAULT', driverName, path, 'the reader was closed before its end');
        yield content.subarray(position, position + chunkSize);
      }
    },
    async close() {
      closed = true;
    },
  };
}

/** In bytes. Small, so that users of the driver meet more than one chunk. */
const chunkSize = 64 * 1024;
