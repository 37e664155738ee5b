import type { StorageDriver, StorageReader, StorageWriter } from '../driver.ts';

/** What a driver, a writer or a reader is asked to do; `read` is one chunk of a reader, `write` one of a writer. */
export type StorageOperation =
  | 'get'
  | 'put'
  | 'reader'
  | 'read'
  | 'writer'
  | 'begin'
  | 'kept'
  | 'write'
  | 'close'
  | 'commit'
  | 'cancel'
  | 'stat'
  | 'list'
  | 'folders'
  | 'objects'
  | 'move'
  | 'lastWrite'
  | 'delete'
  | 'redirectUrl'
  | 'check';

export interface StorageCall {
  readonly operation: StorageOperation;
  /** Of the object; `/` for `check`. A `commit` and a `move` have the one they leave. */
  readonly path: string;
  /** Where a `commit` or a `move` leads. */
  readonly to?: string;
}

/** Is given each call and does it by `proceed`, or not. */
export type Around = <T>(call: StorageCall, proceed: () => Promise<T>) => Promise<T>;

/** The driver with `around` about every call, also those of its readers and writers. */
export function intercept(driver: StorageDriver, around: Around): StorageDriver {
  const { folders, objects, move, lastWrite, redirectUrl, check, close } = driver;
  return {
    name: driver.name,
    ...(driver.remote !== undefined && { remote: driver.remote }),
    get: (path, options) => around({ operation: 'get', path }, () => driver.get(path, options)),
    put: (path, content, options) => around({ operation: 'put', path }, () => driver.put(path, content, options)),
    // One by one, so that each can be told from the others.
    putAll: async (objects, options) => {
      for (const { path, content } of objects) {
        await around({ operation: 'put', path }, () => driver.put(path, content, options));
      }
    },
    reader: async (path, options) => {
      const reader = await around({ operation: 'reader', path }, () => driver.reader(path, options));
      return interceptReader(reader, path, around);
    },
    writer: async (path, options) => {
      const writer = await around({ operation: 'writer', path }, () => driver.writer(path, options));
      return interceptWriter(writer, path, around, driver);
    },
    begin: (path, marker) => around({ operation: 'begin', path }, () => driver.begin(path, marker)),
    kept: (path, options) => around({ operation: 'kept', path }, () => driver.kept(path, options)),
    stat: (path, options) => around({ operation: 'stat', path }, () => driver.stat(path, options)),
    async *list(path, options) {
      await around({ operation: 'list', path }, async () => undefined);
      yield* driver.list(path, options);
    },
    delete: (path, options) => around({ operation: 'delete', path }, () => driver.delete(path, options)),
    ...(folders && {
      folders: (path, names, options) =>
        around({ operation: 'folders', path }, () => folders.call(driver, path, names, options)),
    }),
    ...(objects && {
      async *objects(path, options) {
        await around({ operation: 'objects', path }, async () => undefined);
        yield* objects.call(driver, path, options);
      },
    }),
    ...(move && {
      move: (from, to) => around({ operation: 'move', path: from, to }, () => move.call(driver, from, to)),
    }),
    ...(lastWrite && {
      lastWrite: (path, options) =>
        around({ operation: 'lastWrite', path }, () => lastWrite.call(driver, path, options)),
    }),
    ...(redirectUrl && {
      redirectUrl: (path, options) =>
        around({ operation: 'redirectUrl', path }, () => redirectUrl.call(driver, path, options)),
    }),
    ...(check && { check: (options) => around({ operation: 'check', path: '/' }, () => check.call(driver, options)) }),
    ...(close && { close: () => close.call(driver) }),
  };
}

function interceptReader(reader: StorageReader, path: string, around: Around): StorageReader {
  return {
    size: reader.size,
    async *[Symbol.asyncIterator]() {
      const chunks = reader[Symbol.asyncIterator]();
      try {
        for (;;) {
          const next = await around({ operation: 'read', path }, () => chunks.next());
          if (next.done) return;
          yield next.value;
        }
      } finally {
        await reader.close();
      }
    },
    close: () => reader.close(),
  };
}

function interceptWriter(writer: StorageWriter, path: string, around: Around, driver: StorageDriver): StorageWriter {
  return {
    get size() {
      return writer.size;
    },
    get version() {
      return writer.version;
    },
    note: () => writer.note(),
    reader: async () => interceptReader(await writer.reader(), path, around),
    write: (chunk) => around({ operation: 'write', path }, () => writer.write(chunk)),
    close: (note) => around({ operation: 'close', path }, () => writer.close(note)),
    commit: async (to, preceding = []) => {
      try {
        for (const object of preceding) {
          await around({ operation: 'put', path: object.path }, () => driver.put(object.path, object.content));
        }
      } catch (error) {
        // A commit that fails frees the path.
        await writer.close();
        throw error;
      }
      await around({ operation: 'commit', path, to: to ?? path }, () => writer.commit(to));
    },
    cancel: () => around({ operation: 'cancel', path }, () => writer.cancel()),
  };
}
