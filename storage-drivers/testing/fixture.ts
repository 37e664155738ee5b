import { createHash } from 'node:crypto';
import type { ListOptions, StorageDriver, StorageReader } from '../driver.ts';

/** An empty storage, made anew for each test. */
export interface DriverFixture {
  readonly driver: StorageDriver;
  /** One more driver on the same storage, as another process would have it. */
  another(): Promise<StorageDriver>;
  /** Closes the drivers and removes the storage. */
  dispose(): Promise<void>;
}

/** One promise of the contract. */
export interface DriverCase {
  /** Says what must hold; also the key of a skip. */
  readonly name: string;
  run(fixture: DriverFixture): Promise<void>;
}

/** Bytes that differ at every position that a mix-up could confuse, the same for the same seed. */
export function pattern(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed * 2654435761;
  for (let index = 0; index + 4 <= size; index += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE(state, index);
  }
  bytes.fill(seed, size - (size % 4));
  return bytes;
}

export function sha256(...parts: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Reads to the end. Copies, since a chunk is only good until the next one. */
export async function readAll(reader: StorageReader): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of reader) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

export async function namesOf(driver: StorageDriver, path: string, options?: ListOptions): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of driver.list(path, options)) names.push(entry.name);
  return names;
}

/** Writes the chunks to `path` and keeps them. */
export async function keep(driver: StorageDriver, path: string, ...chunks: readonly Uint8Array[]): Promise<void> {
  const writer = await driver.writer(path, { append: true });
  for (const chunk of chunks) await writer.write(chunk);
  await writer.close();
}

/** What was kept under `path`, as the next writer finds it. */
export async function keptBytes(driver: StorageDriver, path: string): Promise<Buffer> {
  const writer = await driver.writer(path, { append: true });
  const bytes = await readAll(await writer.reader());
  await writer.close();
  return bytes;
}
