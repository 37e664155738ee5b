/**
 * Where what all replicas must agree on is kept: small values under names like `keys/<kid>`. Each call is I/O.
 *
 * Every method rejects when the storage does not answer.
 */
export interface SharedStore {
  get(name: string): Promise<Buffer | undefined>;
  /** Replaces the whole value at once. */
  put(name: string, value: Buffer): Promise<void>;
  /** The last segments of the names below a folder. */
  list(folder: string): Promise<string[]>;
  /** @returns whether it was there */
  delete(name: string): Promise<boolean>;
}

/** A value that is JSON; undefined when there is none. @throws Error when it is something else */
export async function readJson(store: SharedStore, name: string): Promise<unknown> {
  const value = await store.get(name);
  if (value === undefined) return undefined;
  try {
    return JSON.parse(value.toString('utf8'));
  } catch (cause) {
    throw new Error(`${name} in the storage is not JSON`, { cause });
  }
}

export function writeJson(store: SharedStore, name: string, value: unknown): Promise<void> {
  return store.put(name, Buffer.from(JSON.stringify(value)));
}
