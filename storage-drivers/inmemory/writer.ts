import type { StorageReader, StorageWriter } from '../driver.ts';

export interface MemoryWriterParts {
  /** What was kept before. */
  readonly kept: Buffer;
  readonly path: string;
  /** Of what is kept now. */
  version(): string;
  readKept(): Promise<StorageReader>;
  /** Makes the content an object. */
  store(path: string, content: Buffer): void;
  /** Removes the writer's own object, if there is one. */
  drop(): void;
  /** Gives the path free for the next writer. */
  release(): void;
  readonly append: boolean;
}

export function createMemoryWriter(parts: MemoryWriterParts): StorageWriter {
  const { path, append, store, drop, release } = parts;
  const chunks: Uint8Array[] = [parts.kept];
  let size = parts.kept.length;
  let version = parts.version();
  let state: 'open' | 'failed' | 'ended' = 'open';

  const end = (finish: () => void): void => {
    if (state !== 'open') throw new TypeError('the writer has been closed, committed or cancelled already');
    state = 'failed';
    try {
      finish();
      state = 'ended';
    } finally {
      release();
    }
  };

  return {
    get size() {
      return size;
    },
    get version() {
      return version;
    },
    note: async () => undefined,
    reader: parts.readKept,
    async write(chunk) {
      if (state !== 'open') throw new TypeError('the writer has been closed, committed or cancelled already');
      chunks.push(chunk);
      size += chunk.length;
    },
    async close() {
      end(() => store(path, Buffer.concat(chunks, size)));
      version = parts.version();
    },
    async commit(to = path, preceding = []) {
      end(() => {
        for (const object of preceding) store(object.path, Buffer.from(object.content));
        store(to, Buffer.concat(chunks, size));
        if (append && to !== path) drop();
      });
    },
    async cancel() {
      if (state === 'ended') return;
      if (append) drop();
      if (state === 'open') release();
      state = 'ended';
    },
  };
}
