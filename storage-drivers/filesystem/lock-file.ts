import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
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

/** Some network file systems, and FAT, have no links; a lock that a crash left empty there ends by its silence. */
const withoutLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Ends the name of a file that is no lock yet. */
const drafted = '.draft';

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

  /**
   * Its content is the target of a symbolic link: made in one step, so that nobody sees a lock without an owner.
   *
   * @returns false when it exists already
   */
  async create(file: string, content: string): Promise<boolean> {
    try {
      await this.#make(file, content);
      return true;
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  async #make(file: string, content: string): Promise<void> {
    try {
      await io.symlink(content, file);
    } catch (error) {
      const code = errnoOf(error) ?? '';
      if (code === 'ENOENT') {
        await mkdir(this.#folder, { recursive: true });
        await io.symlink(content, file);
      } else if (withoutLinks.has(code)) {
        await writeFile(file, content, { flag: 'wx' });
      } else {
        throw error;
      }
    }
  }

  /**
   * Shows that the holder lives. By making it anew, not by setting the time: so the file system's clock counts, which
   * the other machines see too.
   *
   * @returns false when somebody else holds the lock
   */
  async touch(file: string, content: string): Promise<boolean> {
    if ((await read(file)) !== content) return false;
    const draft = `${this.#folder}/${randomUUID()}${drafted}`;
    await this.#make(draft, content);
    await io.rename(draft, file);
    return true;
  }

  /**
   * Removes the lock if its holder is gone. The decision is made again by one process at a time, so that none removes
   * the lock that another one has got meanwhile.
   */
  async breakStale(file: string, self: ProcessIdentity): Promise<void> {
    const judged = await this.#stale(file, self);
    if (judged === undefined) return;
    const gate = file + breaking;
    if (!(await this.create(gate, JSON.stringify(self)))) {
      // Another process is at it, or died there.
      if ((await this.#stale(gate, self)) !== undefined) await remove(gate);
      return;
    }
    try {
      if ((await read(file)) === judged) await remove(file);
    } finally {
      await remove(gate);
    }
  }

  /** Removes the locks of processes that will not come back for them. */
  async sweep(self: ProcessIdentity): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const file = `${this.#folder}/${name}`;
      if (name.endsWith(drafted)) {
        if (await this.#isSilent(file)) await remove(file);
      } else if (name.endsWith(breaking)) {
        if ((await this.#stale(file, self)) !== undefined) await remove(file);
      } else {
        await this.breakStale(file, self);
      }
    }
  }

  /** The content of a lock, or of a gate, whose holder is gone. */
  async #stale(file: string, self: ProcessIdentity): Promise<string | undefined> {
    const content = await read(file);
    if (content === undefined) return undefined;
    const record = parse(content);
    const stale = record !== undefined && canSee(self, record) ? isGone(record) : await this.#isSilent(file);
    return stale ? content : undefined;
  }

  /** By the file system's clock: that of this machine may differ from it. */
  async #isSilent(file: string): Promise<boolean> {
    const probe = `${this.#folder}/${randomUUID()}${drafted}`;
    try {
      await this.#make(probe, 'now');
      const [now, then] = await Promise.all([lstat(probe), lstat(file)]);
      return now.mtimeMs - then.mtimeMs > this.#silence;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    } finally {
      await remove(probe);
    }
  }
}

async function read(file: string): Promise<string | undefined> {
  try {
    return await readlink(file);
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (errnoOf(error) === 'EINVAL') return readFile(file, 'utf8');
    throw error;
  }
}

/** What somebody else has removed meanwhile is gone as well. */
async function remove(file: string): Promise<void> {
  try {
    await io.unlink(file);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** Undefined when it is none of ours. */
function parse(content: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(content) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
