import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../oci/digest.ts';
import { Download, type DownloadOptions } from './download.ts';

export interface DownloadsOptions {
  /** Where blobs are gathered, by any number of processes; made when it is not there. Nothing else is kept in it. */
  readonly folder: string;
  /** Told of each download to which the upstream has agreed. */
  readonly onBegin?: (download: Download) => void;
  /** Told of each download that has ended, and why when it was not to its end. */
  readonly onEnd: (download: Download, error: unknown) => void;
}

/** All that is on its way: each blob once, whoever asks for it. */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #running = new Map<Digest, Promise<Download>>();
  /** The folder of this process. */
  #own: Promise<string> | undefined;
  #ended = 0;

  constructor(options: DownloadsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running.size;
  }

  /** How many have ended so far. */
  get ended(): number {
    return this.#ended;
  }

  /** The download of a blob, if one is under way that the upstream has agreed to. */
  async find(digest: Digest): Promise<Download | undefined> {
    return this.#running.get(digest)?.catch(() => undefined);
  }

  /**
   * The download of a blob: the one under way, or a new one.
   *
   * @throws what the upstream says to the first who asks; all who wait with him hear the same, and nobody after them
   */
  of(digest: Digest, options: Omit<DownloadOptions, 'digest' | 'file'>): Promise<Download> {
    const running = this.#running.get(digest);
    if (running !== undefined) return running;
    const beginning = this.#begin(digest, options);
    this.#running.set(digest, beginning);
    const end = () => {
      this.#running.delete(digest);
      this.#ended += 1;
    };
    beginning.then((download) => {
      this.#options.onBegin?.(download);
      const report = (error: unknown) => {
        end();
        this.#options.onEnd(download, error);
      };
      download.stored.then(report, report);
    }, end);
    return beginning;
  }

  async #begin(digest: Digest, options: Omit<DownloadOptions, 'digest' | 'file'>): Promise<Download> {
    this.#own ??= prepare(this.#options.folder);
    return Download.begin({ ...options, digest, file: join(await this.#own, randomUUID()) });
  }

  /** Ends all that is under way. */
  async close(): Promise<void> {
    const downloads = await Promise.allSettled(this.#running.values());
    for (const result of downloads) {
      if (result.status !== 'fulfilled') continue;
      result.value.abort(new Error('the server stops'));
      await result.value.stored.catch(() => undefined);
    }
    const own = await this.#own?.catch(() => undefined);
    if (own !== undefined) await rm(own, { recursive: true, force: true });
  }
}

/** How long a folder is left alone in which nothing happens, in milliseconds: its process has died, or has nothing to do. */
const abandonedAfter = 3_600_000;

/** Makes a folder for this process, beside those of others, of which those go that are of processes that died. */
async function prepare(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (await isAbandoned(path)) await rm(path, { recursive: true, force: true });
  }
  const own = join(folder, randomUUID());
  await mkdir(own, { mode: 0o700 });
  return own;
}

async function isAbandoned(folder: string): Promise<boolean> {
  const files = await readdir(folder).catch(() => []);
  const paths = [folder, ...files.map((file) => join(folder, file))];
  const times = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => 0,
      ),
    ),
  );
  return Math.max(...times) < Date.now() - abandonedAfter;
}
