import { createHash, randomUUID } from 'node:crypto';
import { closeSync, constants } from 'node:fs';
import { mkdir, open, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { errnoOf, isMissing } from './errors.ts';
import * as io from './io.ts';
import { canSee, isGone, type ProcessIdentity } from './process-identity.ts';
import { locksFolder, privateFolder } from './staging.ts';

/** What a lock file holds. */
export interface LockRecord extends ProcessIdentity {
  readonly nonce: string;
  /** For people who look into the file. */
  readonly path: string;
}

/** Ends the name of the file that admits one process at a time to breaking a lock. */
const breaking = '.breaking';

/**
 * Files that only one process can create. Nothing here is synced: after a power cut all holders are gone.
 */
export class LockFiles {
  readonly #folder: string;
  readonly #silence: number;

  /** @param silence in milliseconds: how long a holder that cannot be looked for may show no sign of life */
  constructor(root: string, silence: number) {
    this.#folder = `${root}${privateFolder}/${locksFolder}`;
    this.#silence = silence;
  }

  fileOf(path: string): string {
    return `${this.#folder}/${createHash('sha256').update(path).digest('hex')}`;
  }

  /** @returns false when it exists already */
  async create(file: string, content: string): Promise<boolean> {
    let fd: number;
    try {
      fd = await io.open(file, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL);
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      if (errnoOf(error) !== 'ENOENT') throw error;
      await mkdir(this.#folder, { recursive: true });
      return this.create(file, content);
    }
    try {
      await io.writeAll(fd, [Buffer.from(content)]);
      return true;
    } catch (error) {
      // No space left, for example. An empty lock would count as held until it is old.
      await io.unlink(file).catch(() => undefined);
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Shows that the holder lives. By writing, not by setting the time: so the file system's clock counts, which the
   * other machines see too.
   *
   * @returns false when somebody else holds the lock
   */
  async touch(file: string, content: string): Promise<boolean> {
    let handle: Awaited<ReturnType<typeof open>>;
    try {
      handle = await open(file, 'r+');
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
    try {
      if ((await handle.readFile('utf8')) !== content) return false;
      await handle.write(content, 0);
      return true;
    } finally {
      await handle.close();
    }
  }

  /**
   * Removes the lock if its holder is gone. The decision is made again by one process at a time, so that none removes
   * the lock that another one has got meanwhile.
   */
  async breakStale(file: string, self: ProcessIdentity): Promise<void> {
    const judged = await this.#stale(file, self);
    if (judged === undefined) return;
    const gate = file + breaking;
    if (!(await this.create(gate, ''))) {
      // Another process is at it, or died there.
      if (await this.#isSilent(gate)) await unlink(gate);
      return;
    }
    try {
      if ((await readFile(file, 'utf8')) === judged) await unlink(file);
    } finally {
      await unlink(gate);
    }
  }

  /** Removes the locks of processes that will not come back for them. */
  async sweep(self: ProcessIdentity): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const file = `${this.#folder}/${name}`;
      if (!name.endsWith(breaking)) await this.breakStale(file, self);
      else if (await this.#isSilent(file)) await unlink(file);
    }
  }

  /** The content of a lock whose holder is gone. */
  async #stale(file: string, self: ProcessIdentity): Promise<string | undefined> {
    const content = await readFile(file, 'utf8').catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    if (content === undefined) return undefined;
    const record = parse(content);
    const stale = record !== undefined && canSee(self, record) ? isGone(record) : await this.#isSilent(file);
    return stale ? content : undefined;
  }

  /** By the file system's clock: that of this machine may differ from it. */
  async #isSilent(file: string): Promise<boolean> {
    const probe = `${this.#folder}/${randomUUID()}${breaking}`;
    try {
      await writeFile(probe, '');
      const [now, then] = await Promise.all([stat(probe), stat(file)]);
      return now.mtimeMs - then.mtimeMs > this.#silence;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    } finally {
      await unlink(probe).catch(() => undefined);
    }
  }
}

/** Undefined when it is not complete: its holder was about to write it. */
function parse(content: string): LockRecord | undefined {
  try {
    return JSON.parse(content) as LockRecord;
  } catch {
    return undefined;
  }
}
