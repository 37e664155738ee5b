import type { Artifact } from '../clients/raw/artifact.ts';
import type { Content } from '../harness/content.ts';

/** Something that was sent, and whether the registry said that it has it. */
export interface Sent<T> {
  readonly repository: string;
  readonly value: T;
  acknowledged: boolean;
}

/** One attempt to let a tag point to a manifest, or (undefined) to delete it. Times are the ledger's own count. */
interface TagWrite {
  readonly digest: string | undefined;
  readonly started: number;
  /** When the registry acknowledged it, or died over it. */
  ended: number;
  acknowledged: boolean;
}

/** An upload that goes in chunks. */
export interface ChunkedUpload {
  readonly blob: Content;
  /** Where it goes on, as of the last reply. */
  location: string;
  /** Bytes that the registry said it has. */
  received: number;
  /** Bytes that it may have: what was sent. */
  sent: number;
  finished: boolean;
}

/**
 * What was asked of a registry and what it acknowledged, in order: from this follows what it must have, may have, and
 * must not have after a crash.
 */
export class Ledger {
  /** By repository and digest. */
  readonly blobs = new Map<string, Sent<Content>>();
  /** By repository and digest. */
  readonly manifests = new Map<string, Sent<Artifact>>();
  readonly uploads: Sent<ChunkedUpload>[] = [];
  /** By repository, then by tag. */
  readonly #tags = new Map<string, Map<string, TagWrite[]>>();
  #clock = 0;

  async blob(repository: string, value: Content, push: () => Promise<void>): Promise<void> {
    await acknowledge(entry(this.blobs, repository, value.digest, value), push);
  }

  async manifest(repository: string, value: Artifact, push: () => Promise<void>): Promise<void> {
    await acknowledge(entry(this.manifests, repository, value.manifest.digest, value), push);
  }

  async tag(repository: string, tag: string, digest: string | undefined, write: () => Promise<unknown>): Promise<void> {
    const started = ++this.#clock;
    const record: TagWrite = { digest, started, ended: Number.POSITIVE_INFINITY, acknowledged: false };
    this.#historyOf(repository, tag).push(record);
    await write();
    record.acknowledged = true;
    record.ended = ++this.#clock;
  }

  /** The registry has died: what it has not acknowledged has either happened before now or never will. */
  died(): void {
    const now = ++this.#clock;
    for (const record of [...this.#tags.values()].flatMap((tags) => [...tags.values()].flat())) {
      record.ended = Math.min(record.ended, now);
    }
  }

  get repositories(): string[] {
    return [...this.#tags.keys()].sort();
  }

  tagsOf(repository: string): string[] {
    return [...(this.#tags.get(repository)?.keys() ?? [])].sort();
  }

  /**
   * What a tag may point to: the last acknowledged value, or one that was written at the same time or later. Undefined
   * stands for no such tag.
   */
  admissible(repository: string, tag: string): Set<string | undefined> {
    const history = this.#historyOf(repository, tag);
    const first: TagWrite = { digest: undefined, started: 0, ended: 0, acknowledged: true };
    const lastStart = Math.max(0, ...history.filter((write) => write.acknowledged).map((write) => write.started));
    return new Set([first, ...history].filter((write) => write.ended >= lastStart).map((write) => write.digest));
  }

  /** From now on the tag has this value and no other one. */
  observed(repository: string, tag: string, digest: string | undefined): void {
    const now = ++this.#clock;
    const history = this.#historyOf(repository, tag);
    history.splice(0, history.length, { digest, started: now, ended: now, acknowledged: true });
  }

  #historyOf(repository: string, tag: string): TagWrite[] {
    const tags = this.#tags.get(repository) ?? new Map<string, TagWrite[]>();
    this.#tags.set(repository, tags);
    const history = tags.get(tag) ?? [];
    tags.set(tag, history);
    return history;
  }
}

function entry<T>(map: Map<string, Sent<T>>, repository: string, digest: string, value: T): Sent<T> {
  const key = `${repository}@${digest}`;
  const known = map.get(key) ?? { repository, value, acknowledged: false };
  map.set(key, known);
  return known;
}

async function acknowledge<T>(sent: Sent<T>, push: () => Promise<void>): Promise<void> {
  await push();
  sent.acknowledged = true;
}
