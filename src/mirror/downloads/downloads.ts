import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../oci/digest.ts';
import { Download, type DownloadOptions } from './download.ts';

export interface DownloadsOptions {
  /** Where blobs are gathered; made when it is not there. Nothing else is kept in it. */
  readonly folder: string;
  /** Told of each download that has ended, and why when it was not to its end. */
  readonly onEnd: (download: Download, error: unknown) => void;
}

/** All that is on its way: each blob once, whoever asks for it. */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #running = new Map<Digest, Promise<Download>>();
  #prepared: Promise<unknown> | undefined;

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.size;
  }

  /**
   * The download of a blob: the one under way, or a new one.
   *
   * @throws what the upstream says to the first who asks; all who wait with him hear the same, and nobody after them
   */
  of(digest: Digest, options: Omit<DownloadOptions, 'digest' | 'file'>): Promise<Download> {
    const running = this.#running.get(digest);
    if (running !== undefined) return running;
    const beginning = this.#begin({ ...options, digest, file: join(this.#options.folder, randomUUID()) });
    this.#running.set(digest, beginning);
    const end = () => this.#running.delete(digest);
    beginning.then((download) => {
      const report = (error: unknown) => {
        end();
        this.#options.onEnd(download, error);
      };
      download.stored.then(report, report);
    }, end);
    return beginning;
  }

  async #begin(options: DownloadOptions): Promise<Download> {
    this.#prepared ??= prepare(this.#options.folder);
    await this.#prepared;
    return Download.begin(options);
  }

  /** Ends all that is under way. */
  async close(): Promise<void> {
    const downloads = await Promise.allSettled(this.#running.values());
    for (const result of downloads) {
      if (result.status !== 'fulfilled') continue;
      result.value.abort(new Error('the server stops'));
      await result.value.stored.catch(() => undefined);
    }
  }
}

/** What is in the folder was left by a process that died. */
async function prepare(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) await rm(join(folder, name), { force: true });
}
