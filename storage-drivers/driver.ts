/**
 * The contract between the registry and whatever keeps its bytes.
 *
 * A driver keeps *objects*: sequences of bytes under absolute, slash-separated paths such as
 * `/docker/registry/v2/blobs/sha256/ab/ab…/data`. A *folder* exists as long as an object is below it; nobody makes or
 * removes one. Any number of processes may use the same storage at the same time, and each must at once see what
 * another one was told had succeeded.
 *
 * What every driver promises, and `testing/suite.ts` proves:
 *
 * 1. **Atomic.** An object that can be seen is whole. `put` and `commit` replace the old bytes by the new ones at one
 *    instant; a reader that has begun keeps reading the old ones.
 * 2. **Durable.** When `put`, `commit`, `close` or `delete` has resolved, a power cut does not undo it.
 *    With `durable: false` neither this nor the first promise holds across a power cut.
 * 3. **Read after write.** What has resolved is what the next call sees, from any process.
 * 4. **Errors** are the classes below, with `code`, `driver`, `path` and `cause`. What is none of them was not foreseen.
 *
 * A path that does not match {@link isStoragePath} is refused with InvalidPathError before anything is touched.
 */
export interface StorageDriver {
  /** As in the configuration, e.g. `filesystem`. */
  readonly name: string;

  /** Optional: whether it lives on other machines, and so may come up later than those who use it. Default false. */
  readonly remote?: boolean;

  /**
   * The whole object. For small content: links, manifests, records. The buffer may be shared with other callers and
   * with a cache of the driver; it must not be changed.
   *
   * @throws PathNotFoundError also when the path is a folder
   * @throws ObjectTooLargeError when it is longer than `maxSize`; nothing of it is held in memory then
   */
  get(path: string, options?: GetOptions): Promise<Buffer>;

  /** Creates or replaces the object. */
  put(path: string, content: Uint8Array, options?: PutOptions): Promise<void>;

  /**
   * The same for several objects, which become visible one after the other in the order given. Waits for the storage
   * once where it can, not once for each. When it rejects, the first ones may be there.
   */
  putAll(objects: readonly StorageObject[], options?: PutOptions): Promise<void>;

  /**
   * Opens the object for streaming. The returned reader holds resources until it is read to its end or closed.
   *
   * @throws PathNotFoundError also when the path is a folder
   * @throws InvalidOffsetError when `start` is beyond the end of the object (`start` = size reads nothing)
   */
  reader(path: string, options?: RangeOptions): Promise<StorageReader>;

  /**
   * Opens a writer on `path`.
   *
   * Without `append` it starts empty and `commit` or `close` replaces the object; until then readers of `path` see what
   * was there before.
   *
   * With `append` it goes on behind what an earlier writer of that path kept with `close`, in this or in any other
   * process, alive or dead. What is kept is no object yet: {@link kept} and the next writer find it, and the other calls
   * may or may not show it. No object is ever put under such a path.
   *
   * One writer at a time has a path, over all processes. Whoever comes second is refused here or, where the storage
   * cannot tell so early, when it ends: nothing that it wrote is kept then.
   *
   * @throws WriterBusyError when another one has it
   * @throws PathNotFoundError with `marker`, when nothing was begun or it has ended; this too may come as late as the end
   */
  writer(path: string, options?: WriterOptions): Promise<StorageWriter>;

  /**
   * Begins to keep bytes under a path, none at first: puts the marker, without which nothing may be kept there. A power
   * cut may undo it.
   */
  begin(path: string, marker: StorageObject): Promise<void>;

  /**
   * What writers with `append` have kept under a path. With `marker` that is at least nothing, 0 bytes, from
   * {@link begin} on until it is committed or deleted.
   *
   * @throws PathNotFoundError when nothing is kept; with `marker`, when nothing was begun or it has ended
   */
  kept(path: string, options?: KeptOptions): Promise<KeptStat>;

  /** @throws PathNotFoundError */
  stat(path: string, options?: ReadOptions): Promise<StorageStat>;

  /**
   * The names directly below a folder, in byte order of the name (UTF-8, no locale), starting behind `after`. Costs no
   * more than what is read of it where the storage allows it; never holds more than the storage's own page and may be
   * abandoned at any time. A folder that does not exist has no names. Names that are no valid path segments (temporary
   * files of other programs) are left out.
   */
  list(path: string, options?: ListOptions): AsyncIterable<StorageEntry>;

  /**
   * Optional: which of these names are folders directly below, in any order. For storages where it costs less than to
   * look into each of them.
   */
  folders?(path: string, names: readonly string[], options?: ReadOptions): Promise<readonly string[]>;

  /**
   * Optional: all objects below a folder, at any depth, in byte order of the path, with their dates. For storages that
   * list them as cheaply as names; may be abandoned at any time.
   */
  objects?(path: string, options?: ReadOptions): AsyncIterable<DatedObject>;

  /**
   * Deletes an object, or a folder with everything below it. A folder that is left empty may vanish or go on to be
   * listed (the filesystem keeps it, so as not to take it away under another program that is about to write there): a
   * listed folder says nothing about what is below it.
   *
   * @throws PathNotFoundError when there is neither
   */
  delete(path: string, options?: DeleteOptions): Promise<void>;

  /**
   * Optional: brings an object to another place, replacing what is there, durably and without its bytes passing through
   * here; at no time is it at neither. The folder that it leaves may vanish, if nothing else is in it.
   *
   * @returns when what was moved had been stored; undefined where the storage cannot do it at one instant: what somebody
   *   puts under the old path meanwhile may then be gone
   * @throws PathNotFoundError
   */
  move?(from: string, to: string): Promise<Date | undefined>;

  /**
   * Optional: when something below a folder was stored last, at any depth; undefined when nothing is there. What a writer
   * with `to` has brought to its place, but not yet committed, counts with the folder of the writer's path. For storages
   * whose folders have no date ({@link StorageStat}); costs a listing, and more for such writers.
   */
  lastWrite?(path: string, options?: ReadOptions): Promise<Date | undefined>;

  /**
   * Optional: a URL at which the client may fetch the object itself, or undefined when there is none for this request.
   * Absent: the content is streamed through the registry.
   */
  redirectUrl?(path: string, options: RedirectOptions): Promise<string | undefined>;

  /**
   * Optional: says whether the storage can be used now. Only looks, and so passes on a storage that is read-only on
   * purpose; with `write` it makes what is missing and tries to write as well, once, when a server starts.
   *
   * @throws StorageError with the reason and what to do
   */
  check?(options?: CheckOptions): Promise<void>;

  /** Releases what the driver holds (connections, timers). No call may follow. */
  close?(): Promise<void>;
}

export interface ReadOptions {
  signal?: AbortSignal;
}

export interface GetOptions extends ReadOptions {
  /** In bytes. Default: no limit. */
  maxSize?: number;
}

export interface CheckOptions extends ReadOptions {
  /** Whether it must be possible to write. Default false. */
  write?: boolean;
}

/** An object to be stored. */
export interface StorageObject {
  path: string;
  content: Uint8Array;
}

export interface PutOptions {
  /**
   * false: after a power cut the object may be missing, empty or cut short, also when it replaced another one. Without
   * one it is never seen half written. Default true.
   */
  durable?: boolean;
  /** true: nobody but the storage's owner may read it, where the storage knows of others. Default false. */
  secret?: boolean;
}

export interface DeleteOptions {
  /** false: after a power cut it may all be there again, or some of it. Default true. */
  durable?: boolean;
  /** All names that are directly below, when the caller knows: the driver need not look, and may leave others. */
  names?: readonly string[];
}

export interface WriterOptions {
  /** Default false. */
  append?: boolean;
  /** With `append`: the object in the same folder that {@link StorageDriver.begin} was given. */
  marker?: string;
  /** Where this writer will commit to, if that is known already: the driver may bring the bytes there at once. */
  to?: string;
  /**
   * With `append`: a {@link StorageWriter.version} after which nothing need be known. The driver may then go by what it
   * remembers of it and ask nobody; if more was kept meanwhile, the writer does not show it.
   */
  version?: string;
}

export interface KeptOptions extends ReadOptions {
  /** As in {@link WriterOptions}. */
  marker?: string;
}

export interface KeptStat {
  /** In bytes. */
  size: number;
  /** When bytes were kept last; undefined when there are none. */
  modified: Date | undefined;
}

export interface RangeOptions extends ReadOptions {
  /** First byte, from 0. Default 0. */
  start?: number;
  /** Last byte, inclusive. Default and maximum: the end of the object. */
  end?: number;
}

export interface ListOptions extends ReadOptions {
  /** Exclusive; need not exist. */
  after?: string;
  /** How many names will probably be read. Only a hint: more are given. */
  limit?: number;
}

export interface RedirectOptions extends ReadOptions {
  method: 'GET' | 'HEAD';
}

export interface StorageStat {
  kind: 'object' | 'folder';
  /** In bytes; 0 for a folder. */
  size: number;
  /** Last change. Undefined where the storage does not know it (folders of an object store). */
  modified: Date | undefined;
}

export interface StorageEntry {
  /** One path segment. */
  name: string;
  kind: 'object' | 'folder';
}

export interface DatedObject {
  /** Relative to the folder that was asked for. */
  path: string;
  /** Last change, by the clock of the storage. */
  modified: Date | undefined;
}

/**
 * Bytes in order. A chunk may be used only until the next one is asked for: the driver may then read into the same
 * memory again. A fault in the middle rejects; the reader is then closed.
 */
export interface StorageReader extends AsyncIterable<Buffer> {
  /** Bytes that this reader yields in all. */
  readonly size: number;
  /** Gives up; may be called at any time and more than once. */
  close(): Promise<void>;
}

/**
 * Takes bytes for one path. It ends with exactly one of `close`, `commit` or `cancel`, which gives the path free for
 * the next writer also when it fails; `cancel` may follow a fault in one of the others, and does nothing after a
 * success. After any fault of `write` the bytes up to an unspecified point are kept, and `close` says nothing of it:
 * look at `size` of the next writer.
 */
export interface StorageWriter {
  /** Bytes that the path will have: what was kept before plus what was written. */
  readonly size: number;

  /**
   * Stands for the bytes that are kept: when it was opened, and after `close` for those that are kept then. Two that
   * are alike stand for the same bytes. Means nothing without `append`.
   */
  readonly version: string;

  /** What was left with the bytes that are kept, all of them; undefined when nothing was, or the driver keeps no notes. */
  note(): Promise<string | undefined>;

  /** The bytes that were kept when it was opened. */
  reader(): Promise<StorageReader>;

  /**
   * Adds bytes. Resolves when more may be given (which bounds the memory in use), not when they are stored. The
   * writer takes the chunk: the caller must not change it afterwards (a chunk of a StorageReader must be copied first).
   *
   * @throws StorageFullError
   */
  write(chunk: Uint8Array): Promise<void>;

  /**
   * Keeps what was written, durably, so that a later writer with `append` goes on. One that was opened with `to` may
   * keep nothing of what it wrote itself.
   *
   * @param note a short text about all the bytes; the next writer may get it
   * @throws WriterBusyError when another process has kept something meanwhile
   */
  close(note?: string): Promise<void>;

  /**
   * Publishes everything under `to` (default: the writer's own path), durably and at one instant. What was kept under the
   * own path may then be there or not: delete it. The objects in `preceding` are put before, as in `putAll`: whoever
   * dies in between can commit once more.
   */
  commit(to?: string, preceding?: readonly StorageObject[]): Promise<void>;

  /** Drops what was written, and with `append` also what earlier writers kept. */
  cancel(): Promise<void>;
}

export type StorageErrorCode =
  | 'PATH_NOT_FOUND'
  | 'INVALID_PATH'
  | 'INVALID_OFFSET'
  | 'OBJECT_TOO_LARGE'
  | 'WRITER_BUSY'
  | 'STORAGE_FULL'
  | 'STORAGE_READ_ONLY'
  | 'STORAGE_DENIED'
  | 'STORAGE_UNAVAILABLE'
  | 'STORAGE_MISSING'
  | 'STORAGE_FAULT';

/** A fault of the storage; says which driver, which path, and what to do where that is known. */
export class StorageError extends Error {
  override readonly name: string = 'StorageError';
  readonly code: StorageErrorCode;
  readonly driver: string;
  readonly path: string;

  constructor(code: StorageErrorCode, driver: string, path: string, message: string, options?: ErrorOptions) {
    super(`${driver}: ${path}: ${message}`, options);
    this.code = code;
    this.driver = driver;
    this.path = path;
  }
}

export class PathNotFoundError extends StorageError {
  override readonly name = 'PathNotFoundError';
  constructor(driver: string, path: string, options?: ErrorOptions) {
    super('PATH_NOT_FOUND', driver, path, 'no such object or folder', options);
  }
}

/** What a call resolves with; undefined when there is no such object or folder. */
export async function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof PathNotFoundError) return undefined;
    throw error;
  }
}

export class InvalidPathError extends StorageError {
  override readonly name = 'InvalidPathError';
  constructor(driver: string, path: string) {
    super('INVALID_PATH', driver, path, 'not a path: it must be absolute, without empty, . or .. segments');
  }
}

export class InvalidOffsetError extends StorageError {
  override readonly name = 'InvalidOffsetError';
  constructor(driver: string, path: string, offset: number) {
    super('INVALID_OFFSET', driver, path, `offset ${offset} is beyond the end`);
  }
}

/** What is there cannot be what was looked for. */
export class ObjectTooLargeError extends StorageError {
  override readonly name = 'ObjectTooLargeError';
  constructor(driver: string, path: string, size: number) {
    super('OBJECT_TOO_LARGE', driver, path, `has ${size} bytes, which is more than it should`);
  }
}

export class WriterBusyError extends StorageError {
  override readonly name = 'WriterBusyError';
  constructor(driver: string, path: string) {
    super('WRITER_BUSY', driver, path, 'another writer has it');
  }
}

/** The disk, the quota or the bucket is full. What was acknowledged before is kept. */
export class StorageFullError extends StorageError {
  override readonly name = 'StorageFullError';
  constructor(driver: string, path: string, options?: ErrorOptions) {
    super('STORAGE_FULL', driver, path, 'no space left', options);
  }
}

/** The storage does not answer now (network, overload); trying again later may help. */
export class StorageUnavailableError extends StorageError {
  override readonly name = 'StorageUnavailableError';
  constructor(driver: string, path: string, message: string, options?: ErrorOptions) {
    super('STORAGE_UNAVAILABLE', driver, path, message, options);
  }
}

/** One path segment: letters, digits and `. _ - + = ~ @ :`, not `.` or `..`. */
const segment = '(?!\\.\\.?(?:/|$))[A-Za-z0-9._+=~@:-]+';
const oneSegment = new RegExp(`^${segment}$`);
const wholePath = new RegExp(`^(?:/${segment})+$`);

export function isPathSegment(text: string): boolean {
  return oneSegment.test(text);
}

/** Absolute, at least one segment, no empty, `.` or `..` segment, no trailing slash. */
export function isStoragePath(path: string): boolean {
  return wholePath.test(path);
}
