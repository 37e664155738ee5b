import { randomUUID } from 'node:crypto';
import { lstat, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import type { Digest } from '../../oci/digest.ts';
import { RegistryError } from '../../oci/errors.ts';
import type { RepositoryName } from '../../oci/name.ts';
import { UpstreamSlots } from '../slots.ts';
import { untilAborted } from '../until-aborted.ts';
import { Download, type DownloadSource, TooLargeError } from './download.ts';
import { GrowingFile, SpoolError } from './growing-file.ts';

export interface DownloadsOptions {
  /**
   * Where blobs are gathered, by any number of processes; made when it is not there. Nothing else is kept in it. Default: one of
   * this user in the folder for temporary files.
   */
  readonly folder?: string | undefined;
  /** What a file in the folder is in the storage, if that is the same. Default: nothing. */
  readonly objectOf?: ((file: string) => string | undefined) | undefined;
  /** How many blobs come at once from each upstream. Who asks for one more waits. */
  readonly max: number;
  /** Blobs that are larger are not gathered. Bytes; default: any are. */
  readonly maxSize?: number | undefined;
  /** Told of each download to which the upstream has agreed. */
  readonly onBegin?: (download: Download) => void;
  /** Told of each download that has ended, and why when it was not to its end. */
  readonly onEnd: (download: Download, error: unknown) => void;
}

/** One blob that comes, or that an upstream is being asked for. */
export interface Running {
  /** Who has asked for it first: what the upstream says to him it has not said to others. */
  readonly repository: RepositoryName;
  /**
   * Resolves when the upstream has agreed. When nobody waits for that any more, it is not asked.
   *
   * @throws what the upstream says; SpoolError, TooLargeError; the reason of the signal
   */
  begun(signal?: AbortSignal): Promise<Download>;
}

/** All that is on its way: each blob once, whoever asks for it. */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #slots: UpstreamSlots;
  readonly #running = new Map<Digest, Beginning>();
  /** The folder of this process. */
  #own: Promise<string> | undefined;
  /** When the folders of others were looked at last, in milliseconds since the process began. */
  #tidied = Number.NEGATIVE_INFINITY;
  readonly #maxSize: number;
  #ended = 0;
  #closed = false;

  constructor(options: DownloadsOptions) {
    this.#options = options;
    this.#maxSize = options.maxSize ?? Number.POSITIVE_INFINITY;
    this.#slots = new UpstreamSlots(options.max);
  }

  get running(): number {
    return this.#running.size;
  }

  /** How many have ended so far, one way or another. */
  get ended(): number {
    return this.#ended;
  }

  /** The download of a blob, if one is under way. */
  find(digest: Digest): Running | undefined {
    return this.#running.get(digest);
  }

  /** Resolves when no download of a blob is under way any more, whatever has come of it. */
  async settled(digest: Digest): Promise<void> {
    await this.#running.get(digest)?.settled();
  }

  /** @param size of a blob @throws TooLargeError when it would not be gathered */
  checkSize(size: number): void {
    if (size > this.#maxSize) throw new TooLargeError(size, this.#maxSize);
  }

  /** Begins the download of a blob, unless one is under way. @throws RegistryError `UNAVAILABLE` once this is closed */
  begin(source: DownloadSource): Running {
    if (this.#closed) throw stopping();
    const { digest } = source;
    const running = this.#running.get(digest);
    if (running !== undefined) return running;
    const end = () => {
      if (this.#running.get(digest) !== beginning) return;
      this.#running.delete(digest);
      this.#ended += 1;
    };
    const beginning = new Beginning(source.repository, (aborter) => this.#start(source, aborter, end), end);
    this.#running.set(digest, beginning);
    return beginning;
  }

  async #start(source: DownloadSource, aborter: AbortController, end: () => void): Promise<Download> {
    let leave: (() => void) | undefined;
    try {
      leave = await this.#slots.of(source.upstream).take(aborter.signal);
      const createFile = (expected: number | undefined) => this.#createFile(expected);
      const download = await Download.begin({ ...source, aborter, maxSize: this.#maxSize, createFile });
      const report = (error: unknown) => {
        end();
        leave?.();
        this.#options.onEnd(download, error);
      };
      download.stored.then(() => report(undefined), report);
      this.#options.onBegin?.(download);
      return download;
    } catch (error) {
      end();
      leave?.();
      throw error;
    }
  }

  /** The folder may have gone meanwhile: others clean up, too. @throws SpoolError */
  async #createFile(expected: number | undefined): Promise<GrowingFile> {
    for (let attempt = 1; ; attempt++) {
      this.#own ??= prepare(this.#options.folder);
      const own = this.#own;
      try {
        const folder = await own;
        await this.#tidy(folder);
        const path = join(folder, randomUUID());
        return await GrowingFile.create(path, expected, this.#options.objectOf?.(path));
      } catch (cause) {
        if (this.#own === own) this.#own = undefined;
        if (attempt === 2) throw new SpoolError(`no blob can be gathered: ${cause}`, { cause });
      }
    }
  }

  /**
   * Looks for what processes left that died; not only once, as none of it is old enough when this one takes the place of one of
   * them.
   */
  async #tidy(own: string): Promise<void> {
    const now = performance.now();
    if (now < this.#tidied + abandonedAfter) return;
    this.#tidied = now;
    await removeAbandoned(dirname(own), own);
  }

  /**
   * Ends all that is under way, and takes no more.
   *
   * @throws Error when what was gathered cannot be deleted; the next process does it then
   */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running.values()].map((beginning) => beginning.abort(stopping())));
    const own = await this.#own?.catch(() => undefined);
    if (own !== undefined) await rm(own, { recursive: true, force: true });
  }
}

function stopping(): RegistryError {
  return new RegistryError('UNAVAILABLE', { message: 'the server stops' });
}

class Beginning implements Running {
  readonly repository: RepositoryName;
  readonly #aborter = new AbortController();
  readonly #download: Promise<Download>;
  readonly #end: () => void;
  #waiting = 0;
  #hasBegun = false;

  constructor(repository: RepositoryName, begin: (aborter: AbortController) => Promise<Download>, end: () => void) {
    this.repository = repository;
    this.#end = end;
    this.#download = begin(this.#aborter);
    this.#download.then(
      () => {
        this.#hasBegun = true;
      },
      () => undefined,
    );
  }

  async begun(signal?: AbortSignal): Promise<Download> {
    this.#waiting += 1;
    try {
      return await untilAborted(this.#download, signal);
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0 && !this.#hasBegun) {
        // At once, so that whoever comes next does not wait for what is given up.
        this.#end();
        this.#aborter.abort(new Error('nobody waits for it any more'));
      }
    }
  }

  /** Resolves when nothing of it goes on. */
  async abort(reason: unknown): Promise<void> {
    this.#aborter.abort(reason);
    await this.settled();
  }

  async settled(): Promise<void> {
    await this.#download.then(({ stored }) => stored).catch(() => undefined);
  }
}

/** How long a folder is left alone in which nothing happens, in milliseconds: its process has died, or has nothing to do. */
const abandonedAfter = 3_600_000;

/** Makes a folder for this process, beside those of others. */
async function prepare(given: string | undefined): Promise<string> {
  const folder = given ?? (await temporaryFolder());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const own = join(folder, randomUUID());
  await mkdir(own, { mode: 0o700 });
  return own;
}

/** As {@link prepare} names folders: whatever else lies beside them is nobody's business here. */
const ownName = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Removes the folders of processes that died. What is another user's and cannot be removed does no harm. */
async function removeAbandoned(folder: string, own: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (path === own || !ownName.test(name) || !(await isAbandoned(path))) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Always the same, so that what a process leaves that dies is found; another one if somebody else has taken that name. */
async function temporaryFolder(): Promise<string> {
  const { uid } = userInfo();
  const usual = join(tmpdir(), `berth-mirror-${uid}`);
  await mkdir(usual, { mode: 0o700 }).catch(() => undefined);
  const found = await lstat(usual).catch(() => undefined);
  const isOurs = found?.isDirectory() && (uid < 0 || (found.uid === uid && (found.mode & 0o077) === 0));
  return isOurs ? usual : mkdtemp(join(tmpdir(), 'berth-mirror-'));
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
