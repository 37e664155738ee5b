import type { StorageEntry } from '../driver.ts';

export interface MemoryObject {
  readonly content: Buffer;
  readonly modified: Date;
  /** No other object has it. */
  readonly id: number;
}

class Folder {
  readonly children = new Map<string, Folder | MemoryObject>();
  /** Undefined when a name came or went since it was made. */
  sorted: readonly StorageEntry[] | undefined;
}

/** Objects by their path, and the folders that this makes. A folder without objects does not exist. */
export class MemoryTree {
  readonly #root = new Folder();

  object(path: string): MemoryObject | undefined {
    const node = this.#find(path);
    return node instanceof Folder ? undefined : node;
  }

  isFolder(path: string): boolean {
    return this.#find(path) instanceof Folder;
  }

  /** @returns false when a folder has the path, or an object is where a folder would have to be */
  set(path: string, object: MemoryObject): boolean {
    const names = namesOf(path);
    const last = names.pop() ?? '';
    let folder = this.#root;
    for (const name of names) {
      let child = folder.children.get(name);
      if (child === undefined) {
        child = new Folder();
        folder.children.set(name, child);
        folder.sorted = undefined;
      }
      if (!(child instanceof Folder)) return false;
      folder = child;
    }
    const existing = folder.children.get(last);
    if (existing instanceof Folder) return false;
    if (existing === undefined) folder.sorted = undefined;
    folder.children.set(last, object);
    return true;
  }

  /** @returns false when there was nothing */
  delete(path: string): boolean {
    const names = namesOf(path);
    const folders = [this.#root];
    for (const name of names.slice(0, -1)) {
      const child = folders.at(-1)?.children.get(name);
      if (!(child instanceof Folder)) return false;
      folders.push(child);
    }
    let deleted = false;
    for (let depth = names.length - 1; depth >= 0; depth -= 1) {
      const folder = folders[depth];
      if (folder === undefined || !folder.children.delete(names[depth] ?? '')) break;
      folder.sorted = undefined;
      deleted = true;
      if (folder.children.size > 0) break;
    }
    return deleted;
  }

  /** In byte order of the name. */
  entries(path: string): readonly StorageEntry[] {
    const folder = this.#find(path);
    if (!(folder instanceof Folder)) return [];
    folder.sorted ??= Array.from(
      folder.children,
      ([name, child]): StorageEntry => ({ name, kind: child instanceof Folder ? 'folder' : 'object' }),
    ).sort((a, b) => (a.name < b.name ? -1 : 1));
    return folder.sorted;
  }

  #find(path: string): Folder | MemoryObject | undefined {
    let node: Folder | MemoryObject | undefined = this.#root;
    for (const name of namesOf(path)) {
      if (!(node instanceof Folder)) return undefined;
      node = node.children.get(name);
    }
    return node;
  }
}

function namesOf(path: string): string[] {
  return path.slice(1).split('/');
}
