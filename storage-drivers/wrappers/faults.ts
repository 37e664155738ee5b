import {
  type StorageDriver,
  StorageError,
  StorageFullError,
  type StorageReader,
  type StorageWriter,
} from '../driver.ts';
import { intercept, type StorageCall, type StorageOperation } from './intercept.ts';

/** Which calls a fault is for. */
export interface CallPattern {
  readonly operation: StorageOperation;
  /** The exact path, or what it matches. Default: any. */
  readonly path?: string | RegExp;
}

export interface FailOptions {
  /** Default: StorageError STORAGE_FAULT. */
  readonly error?: Error;
  /** How many calls; default all, until `clear`. */
  readonly times?: number;
  /** `after`: the driver does it, and the caller is told that it failed, as when an answer is lost. Default `before`. */
  readonly when?: 'before' | 'after';
}

export interface Hold {
  /** Resolves when the first matching call has arrived. */
  readonly reached: Promise<void>;
  /** Lets all calls go on that were held, and those to come. */
  release(): void;
}

export interface FaultyDriver {
  readonly driver: StorageDriver;
  fail(pattern: CallPattern, options?: FailOptions): void;
  /** Makes calls wait until they are released. */
  hold(pattern: CallPattern): Hold;
  /** Each writer of such a path takes that many bytes and then fails. Default error: StorageFullError. */
  cutWrites(path: string | RegExp, bytes: number, error?: Error): void;
  /** Each reader of such a path yields that many bytes and then fails. Default error: StorageError STORAGE_FAULT. */
  cutReads(path: string | RegExp, bytes: number, error?: Error): void;
  /** Forgets all of it and releases what is held. */
  clear(): void;
}

interface Failure {
  readonly pattern: CallPattern;
  readonly options: FailOptions;
  left: number;
}

interface Gate {
  readonly pattern: CallPattern;
  readonly released: Promise<void>;
  arrive(): void;
  release(): void;
}

interface Cut {
  readonly path: string | RegExp;
  readonly bytes: number;
  readonly error: Error | undefined;
}

/** A driver that fails, waits or breaks off as a test wants it to. */
export function withFaults(driver: StorageDriver): FaultyDriver {
  let failures: Failure[] = [];
  let gates: Gate[] = [];
  let writeCuts: Cut[] = [];
  let readCuts: Cut[] = [];

  const injected = (path: string) => new StorageError('STORAGE_FAULT', driver.name, path, 'injected fault');

  const around = async <T>(call: StorageCall, proceed: () => Promise<T>): Promise<T> => {
    for (const gate of gates.filter(({ pattern }) => matches(pattern, call))) {
      gate.arrive();
      await gate.released;
    }
    const failure = failures.find(({ pattern, left }) => left > 0 && matches(pattern, call));
    if (failure === undefined) return proceed();
    failure.left -= 1;
    if (failure.options.when === 'after') await proceed();
    throw failure.options.error ?? injected(call.path);
  };
  const inner = intercept(driver, around);

  return {
    driver: {
      ...inner,
      async reader(path, options) {
        const reader = await inner.reader(path, options);
        const cut = readCuts.find((candidate) => pathMatches(candidate.path, path));
        return cut ? cutReader(reader, cut.bytes, cut.error ?? injected(path)) : reader;
      },
      async writer(path, options) {
        const writer = await inner.writer(path, options);
        const cut = writeCuts.find((candidate) => pathMatches(candidate.path, path));
        return cut ? cutWriter(writer, cut.bytes, cut.error ?? new StorageFullError(driver.name, path)) : writer;
      },
    },
    fail(pattern, options = {}) {
      failures.push({ pattern, options, left: options.times ?? Number.POSITIVE_INFINITY });
    },
    hold(pattern) {
      let arrive = (): void => undefined;
      let release = (): void => undefined;
      const reached = new Promise<void>((done) => {
        arrive = done;
      });
      const released = new Promise<void>((done) => {
        release = done;
      });
      gates.push({ pattern, released, arrive, release });
      return { reached, release };
    },
    cutWrites(path, bytes, error) {
      writeCuts.push({ path, bytes, error });
    },
    cutReads(path, bytes, error) {
      readCuts.push({ path, bytes, error });
    },
    clear() {
      for (const gate of gates) gate.release();
      failures = [];
      gates = [];
      writeCuts = [];
      readCuts = [];
    },
  };
}

function matches(pattern: CallPattern, call: StorageCall): boolean {
  return pattern.operation === call.operation && pathMatches(pattern.path, call.path);
}

function pathMatches(pattern: string | RegExp | undefined, path: string): boolean {
  if (pattern === undefined) return true;
  return typeof pattern === 'string' ? pattern === path : pattern.test(path);
}

function cutWriter(writer: StorageWriter, bytes: number, error: Error): StorageWriter {
  let left = bytes;
  return {
    get size() {
      return writer.size;
    },
    get version() {
      return writer.version;
    },
    note: () => writer.note(),
    reader: () => writer.reader(),
    async write(chunk) {
      const taken = chunk.subarray(0, left);
      left -= taken.length;
      await writer.write(taken);
      if (taken.length < chunk.length) throw error;
    },
    close: (note) => writer.close(note),
    commit: (to, preceding) => writer.commit(to, preceding),
    cancel: () => writer.cancel(),
  };
}

function cutReader(reader: StorageReader, bytes: number, error: Error): StorageReader {
  return {
    size: reader.size,
    async *[Symbol.asyncIterator]() {
      let left = bytes;
      for await (const chunk of reader) {
        if (chunk.length > left) {
          if (left > 0) yield chunk.subarray(0, left);
          throw error;
        }
        left -= chunk.length;
        yield chunk;
      }
    },
    close: () => reader.close(),
  };
}
