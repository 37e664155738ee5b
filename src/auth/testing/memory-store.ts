import type { SharedStore } from '../store.ts';

/** What replicas share, within one process. */
export function memoryStore(): SharedStore & { readonly values: Map<string, Buffer> } {
  const values = new Map<string, Buffer>();
  return {
    values,
    get: async (name) => values.get(name),
    put: async (name, value) => void values.set(name, value),
    list: async (folder) =>
      [...values.keys()].filter((name) => name.startsWith(`${folder}/`)).map((name) => name.slice(folder.length + 1)),
    delete: async (name) => values.delete(name),
  };
}
