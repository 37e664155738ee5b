import { InvalidPathError, isStoragePath, type StorageDriver, type StorageWriter } from '../driver.ts';

/**
 * Refuses what is no path before the driver sees it, so that nothing received from outside leads out of the storage.
 * Costs a fraction of a microsecond.
 *
 * @throws InvalidPathError
 */
export function withCheckedPaths(driver: StorageDriver): StorageDriver {
  const { folders, objects, move, lastWrite, redirectUrl, check, close } = driver;
  const verify = (path: string): void => {
    if (!isStoragePath(path)) throw new InvalidPathError(driver.name, path);
  };
  return {
    name: driver.name,
    ...(driver.remote !== undefined && { remote: driver.remote }),
    async get(path, options) {
      verify(path);
      return driver.get(path, options);
    },
    async put(path, content, options) {
      verify(path);
      return driver.put(path, content, options);
    },
    async putAll(objects, options) {
      for (const { path } of objects) verify(path);
      return driver.putAll(objects, options);
    },
    async reader(path, options) {
      verify(path);
      return driver.reader(path, options);
    },
    async writer(path, options) {
      verify(path);
      if (options?.marker !== undefined) verify(options.marker);
      if (options?.to !== undefined) verify(options.to);
      return checkedWriter(await driver.writer(path, options), verify);
    },
    async begin(path, marker) {
      verify(path);
      verify(marker.path);
      return driver.begin(path, marker);
    },
    async kept(path, options) {
      verify(path);
      if (options?.marker !== undefined) verify(options.marker);
      return driver.kept(path, options);
    },
    async stat(path, options) {
      verify(path);
      return driver.stat(path, options);
    },
    list(path, options) {
      return isStoragePath(path) ? driver.list(path, options) : refused(driver.name, path);
    },
    async delete(path, options) {
      verify(path);
      return driver.delete(path, options);
    },
    ...(folders && {
      async folders(path, names, options) {
        verify(path);
        return folders.call(driver, path, names, options);
      },
    }),
    ...(objects && {
      objects: (path, options) =>
        isStoragePath(path) ? objects.call(driver, path, options) : refused(driver.name, path),
    }),
    ...(move && {
      async move(from, to) {
        verify(from);
        verify(to);
        return move.call(driver, from, to);
      },
    }),
    ...(lastWrite && {
      async lastWrite(path, options) {
        verify(path);
        return lastWrite.call(driver, path, options);
      },
    }),
    ...(redirectUrl && {
      async redirectUrl(path, options) {
        verify(path);
        return redirectUrl.call(driver, path, options);
      },
    }),
    ...(check && { check: (options) => check.call(driver, options) }),
    ...(close && { close: () => close.call(driver) }),
  };
}

function checkedWriter(writer: StorageWriter, verify: (path: string) => void): StorageWriter {
  return {
    get size() {
      return writer.size;
    },
    get version() {
      return writer.version;
    },
    note: () => writer.note(),
    reader: () => writer.reader(),
    write: (chunk) => writer.write(chunk),
    close: (note) => writer.close(note),
    async commit(to, preceding) {
      if (to !== undefined) verify(to);
      for (const { path } of preceding ?? []) verify(path);
      return writer.commit(to, preceding);
    },
    cancel: () => writer.cancel(),
  };
}

/** A listing fails when it is read, as with all its faults. */
function refused(driver: string, path: string): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new InvalidPathError(driver, path)) }) };
}
