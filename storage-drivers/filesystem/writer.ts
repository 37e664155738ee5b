import type { StorageObject, StorageReader, StorageWriter } from '../driver.ts';
import { Appender } from './appender.ts';
import type { Destination } from './destination.ts';
import { storageFault } from './errors.ts';
import * as io from './io.ts';
import type { StagedFile } from './publish.ts';
import type { WriterLock } from './writer-lock.ts';

export interface WriterParts {
  /** The object's path, for errors. */
  readonly path: string;
  readonly destination: Destination;
  readonly lock: WriterLock;
  /** Takes the lock once more, to cancel after a fault. */
  relock(): Promise<WriterLock>;
  /** The file of another object. */
  fileOf(path: string): string;
  /** Reads what the destination had when it was opened. */
  readKept(): Promise<StorageReader>;
  /** Runs `run` with a staged file for each object. */
  withStaged(objects: readonly StorageObject[], run: (files: readonly StagedFile[]) => Promise<void>): Promise<void>;
}

export class FilesystemWriter implements StorageWriter {
  readonly #parts: WriterParts;
  readonly #appender: Appender;
  #state: 'open' | 'ending' | 'failed' | 'ended' = 'open';

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#appender = new Appender(parts.destination.fd);
  }

  get size(): number {
    return this.#parts.destination.kept + this.#appender.accepted;
  }

  get version(): string {
    return `${this.#parts.destination.identity}.${this.size}`;
  }

  /** There is no place for notes: reading a file again is cheap. */
  async note(): Promise<undefined> {
    return undefined;
  }

  reader(): Promise<StorageReader> {
    return this.#parts.readKept();
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#state !== 'open') throw alreadyEnded();
    try {
      await this.#appender.write(chunk);
    } catch (error) {
      throw storageFault(error, this.#parts.path);
    }
  }

  async close(): Promise<void> {
    const { destination } = this.#parts;
    await this.#end(
      () => this.#appender.checkUntold(),
      () => destination.keep(),
    );
  }

  async commit(to: string = this.#parts.path, preceding: readonly StorageObject[] = []): Promise<void> {
    const { destination, fileOf, withStaged } = this.#parts;
    await this.#end(
      () => this.#appender.check(),
      () => withStaged(preceding, (files) => destination.commit(fileOf(to), files)),
    );
  }

  async cancel(): Promise<void> {
    const { destination, lock, path, relock } = this.#parts;
    if (this.#state === 'ended') return;
    if (this.#state === 'ending') throw alreadyEnded();
    const isOpen = this.#state === 'open';
    this.#state = 'ending';
    const held = isOpen ? lock : await relock();
    try {
      if (isOpen) await this.#appender.abandon();
      await destination.drop();
    } catch (error) {
      throw storageFault(error, path);
    } finally {
      if (isOpen) await closeFile(destination.fd);
      await held.release();
      this.#state = 'ended';
    }
  }

  async #end(check: () => void, store: () => Promise<void>): Promise<void> {
    if (this.#state !== 'open') throw alreadyEnded();
    this.#state = 'ending';
    const { destination, lock, path } = this.#parts;
    let next: 'failed' | 'ended' = 'failed';
    try {
      await this.#appender.drain();
      check();
      await lock.verify();
      await destination.verify(destination.kept + this.#appender.written);
      await store();
      next = 'ended';
    } catch (error) {
      await destination.abandon();
      throw storageFault(error, path);
    } finally {
      await closeFile(destination.fd);
      await lock.release();
      this.#state = next;
    }
  }
}

function alreadyEnded(): TypeError {
  return new TypeError('the writer has been closed, committed or cancelled already');
}

/** What was written has been synced or is not wanted, so that a fault in closing means nothing. */
async function closeFile(fd: number): Promise<void> {
  await io.close(fd).catch(() => undefined);
}
