import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type StorageDriver, unlessMissing } from '../../../storage-drivers/driver.ts';
import { type Digest, tryParseDigest } from '../../oci/digest.ts';
import { isRegistryError } from '../../oci/errors.ts';
import { linkTime } from '../../registry/content.ts';
import { layout } from '../../registry/layout.ts';
import { exists, remove } from '../../registry/links.ts';
import type { Registry } from '../../registry/registry.ts';
import { eachOf } from './each-of.ts';
import { type Entry, type Ledger, recordOf } from './ledger.ts';
import { decodeRecords, encodeRecords, type Link } from './records.ts';
import type { Territory } from './territory.ts';
import { hostedAmong } from './walks.ts';

/*
 * How content goes that a hosted repository may begin to share at any moment, in this process or in another one, without
 * asking those who push for anything: they know of no lock, and most of them would wait for nothing.
 *
 *  1. The batch is written down, so that content whose links are gone is found again if this process dies.
 *  2. Hosted repositories are looked through: what one of them links stays as it is.
 *  3. The mirrors' links go, tags before the manifests that they point to. From now on the content is unknown in the
 *     mirrors: who asks for it there makes the upstream prove it and then has a new link, or has it downloaded again.
 *  4. The content is moved aside, each at one instant. It is gone for everybody, and yet not lost.
 *  5. What turns out to be young goes back at once: somebody has stored it anew, and content comes before its links where
 *     it is small, so that the link may be about to be put.
 *  6. Hosted repositories are looked through once more: what has got a link since the first look goes back.
 *  7. The rest is deleted, by its place aside, which nobody else's batch has.
 *
 * Why nothing hosted is lost, whatever happens in between:
 *
 *  - A push of a large blob puts the link, then the content. If the content came before 4, so did the link, and 6 sees it;
 *    if it came later, it is not what was moved.
 *  - A push of a small blob or of a manifest puts the content, then the links. What was moved in 4 is then young, see 5.
 *    Who takes longer between the two than `linkTime` looks for the content again (`content.ts`).
 *  - A mount puts the link, then looks for the content (`blobs.ts`). If it still sees it, the link came before 4, and 6 sees
 *    that; else the client is told to push. `adopt` does the same for mirrors.
 *  - A manifest is taken when its blobs are there for a hosted link; by the above these stay, or come back. A push that
 *    meets 4 to 6 just there may be told once that a blob is missing.
 *  - A process that dies between 4 and 7 leaves content aside: whoever comes next does 5 to 7 for it (`recover`). Two who
 *    do so at the same time do the same thing.
 *  - Two who evict the same content at the same time: one of them moves it, the other one finds nothing to be moved.
 *
 * An object store moves by copying and deleting. What somebody stores between the two is deleted, while its bytes are aside;
 * and the copy has a date of its own, so that 5 tells nothing. There 6 waits until whoever put content has put its links.
 */

/** How long content that somebody else stored counts as young, in milliseconds: many times `linkTime`, for clocks differ. */
const youth = 300_000;

/** How long is waited before the second look where moving is copying, in milliseconds. */
const settlingTime = 3 * linkTime;

/** Beside `docker`; one folder for each batch, with the content under its digest, and a list of it. */
const aside = '/_berth/mirror/space/aside';
const list = 'batch';

/** How long a batch is kept that was begun and is not known to have ended, in milliseconds. */
const abandonedAfter = 3_600_000;

/** Calls to the storage at a time. */
const width = 16;

export interface EvictionOptions {
  readonly driver: StorageDriver;
  /** Whose mirrors lose their links. Must allow deletion. */
  readonly store: Registry;
  readonly territory: Territory;
  readonly ledger: Ledger;
  readonly now: () => number;
  /** How long is waited where moving is copying, in milliseconds. Default: longer than content may be without its links. */
  readonly settleTime?: number;
  /** Told of content that a hosted repository came to share in the middle of it, and that was brought back. */
  readonly onRestore: (digest: Digest) => void;
}

export interface Evicted {
  readonly count: number;
  readonly bytes: number;
  /** What turned out to be hosted too, and stayed. */
  readonly hosted: number;
  /** What was not there any more: somebody else has evicted it. */
  readonly missing: number;
  /** Deletes what was moved aside, where that has to wait; resolves when it has. */
  readonly finished: Promise<void>;
}

export class Eviction {
  readonly #options: EvictionOptions;
  readonly #move: NonNullable<StorageDriver['move']>;

  /** @throws TypeError when the driver cannot move objects */
  constructor(options: EvictionOptions) {
    this.#options = options;
    const { driver } = options;
    if (driver.move === undefined) throw new TypeError(`${driver.name} cannot move objects`);
    this.#move = driver.move.bind(driver);
  }

  /**
   * @param onLeave is told of what the ledger does not have any more, while its bytes are still there
   * @param signal ends the wait where there is one: what is aside then is for `recover`
   */
  async evict(batch: readonly Entry[], onLeave: (entry: Entry) => void, signal: AbortSignal): Promise<Evicted> {
    const { driver, territory, ledger, now } = this.#options;
    const begun = now();
    const present: Entry[] = [];
    let missing = 0;
    await eachOf(batch, width, async (entry) => {
      const stat = await unlessMissing(driver.stat(layout.blobData(entry.digest)));
      if (stat === undefined) {
        missing += 1;
        ledger.forget(entry.digest);
      } else if (this.#isYoung(stat.modified, entry.stored)) entry.spared = begun + youth;
      else present.push(entry);
    });
    const none = { count: 0, bytes: 0, hosted: 0, missing, finished: Promise.resolve() };
    if (present.length === 0) return none;

    // With them those that were hosted too when somebody looked last: that costs no more, and may have changed.
    const before = [...ledger.entries()].filter(({ hosted }) => hosted);
    const shared = await hostedAmong(driver, territory, digestsOf([...present, ...before]), signal);
    for (const entry of [...present, ...before]) ledger.setHosted(entry, shared.has(entry.digest));
    const leaving = present.filter(({ hosted }) => !hosted);
    const hosted = present.length - leaving.length;
    if (leaving.length === 0) return { ...none, hosted };

    const folder = `${aside}/${randomUUID()}`;
    await driver.put(`${folder}/${list}`, encodeRecords(leaving.map(recordOf)));
    const moved: Entry[] = [];
    let instant = true;
    const leave = async (entry: Entry) => {
      await this.#unlink([...entry.links.values()], entry.digest);
      // Somebody has asked for it again, and may be about to open it.
      if (entry.used > begun) return;
      // Before it is moved: whoever stores it again behind that must not be forgotten.
      ledger.forget(entry.digest);
      onLeave(entry);
      const date = await unlessMissing(this.#moveAside(folder, entry.digest));
      if (date === undefined) return;
      if (date === 'unknown') instant = false;
      else if (this.#isYoung(date, entry.stored)) return this.#restore(folder, entry.digest);
      moved.push(entry);
    };
    const finish = () => this.#finish(folder, digestsOf(moved));
    try {
      await eachOf(leaving, width, leave);
    } catch (error) {
      await this.#restoreHosted(folder, digestsOf(moved));
      throw error;
    }
    const bytes = moved.reduce((sum, { size }) => sum + size, 0);
    const result = { count: moved.length, bytes, hosted, missing };
    if (instant) {
      await finish();
      return { ...result, finished: Promise.resolve() };
    }
    return {
      ...result,
      finished: delay(this.#options.settleTime ?? settlingTime, undefined, { signal, ref: false }).then(finish),
    };
  }

  /**
   * Ends what others have begun who died: brings back what is hosted, and takes in what lost its links only.
   *
   * @returns whether something is aside that is too young to be judged
   */
  async recover(signal: AbortSignal): Promise<boolean> {
    const { driver, ledger, now } = this.#options;
    let waiting = false;
    for await (const { name } of driver.list(aside, { signal })) {
      const folder = `${aside}/${name}`;
      const content = await unlessMissing(driver.get(`${folder}/${list}`));
      for (const record of content === undefined ? [] : decodeRecords(content)) {
        if (ledger.get(record.digest) !== undefined) continue;
        if (await exists(driver, layout.blobData(record.digest))) ledger.note(record);
      }
      const listed = await unlessMissing(driver.stat(`${folder}/${list}`));
      const isAbandoned = now() - (listed?.modified?.getTime() ?? 0) > abandonedAfter;
      const settled = new Set<Digest>();
      /** The list, and what a driver notes of a copy that it has begun: the parts of that go with it. */
      const notes: string[] = [];
      for await (const { name: object } of driver.list(folder, { signal })) {
        const digest = tryParseDigest(object);
        if (digest === undefined) {
          notes.push(object);
          continue;
        }
        const stat = await unlessMissing(driver.stat(`${folder}/${object}`));
        if (stat === undefined) continue;
        const objectAge = now() - (stat.modified?.getTime() ?? 0);
        if (objectAge > youth) settled.add(digest);
        // Where moving is copying, the date is that of the move, which may have happened just now.
        else if (driver.remote === true) waiting = true;
        else await this.#restore(folder, digest);
      }
      if (settled.size > 0) await this.#settle(folder, settled);
      if (isAbandoned) for (const note of notes) await remove(driver, `${folder}/${note}`);
    }
    return waiting;
  }

  /** Whether somebody else has stored it so lately that its links may be on their way. */
  #isYoung(modified: Date | undefined, stored: number | undefined): boolean {
    const date = modified?.getTime() ?? 0;
    return date !== stored && date > this.#options.now() - youth;
  }

  async #unlink(links: readonly Link[], digest: Digest): Promise<void> {
    const { store } = this.#options;
    for (const { kind, repository } of links) {
      const { manifests, blobs } = store.repository(repository);
      try {
        await (kind === 'manifest' ? manifests : blobs).delete(digest);
      } catch (error) {
        if (!isRegistryError(error, 'MANIFEST_UNKNOWN') && !isRegistryError(error, 'BLOB_UNKNOWN')) throw error;
      }
    }
  }

  async #moveAside(folder: string, digest: Digest): Promise<Date | 'unknown'> {
    return (await this.#move(layout.blobData(digest), `${folder}/${digest}`)) ?? 'unknown';
  }

  /** Steps 6 and 7 of a whole batch. */
  async #finish(folder: string, moved: ReadonlySet<Digest>): Promise<void> {
    await this.#restoreHosted(folder, moved);
    await remove(this.#options.driver, folder);
  }

  /** The same of what is left of another one's. */
  async #settle(folder: string, moved: ReadonlySet<Digest>): Promise<void> {
    await this.#restoreHosted(folder, moved);
    await eachOf(moved, width, async (digest) => void (await remove(this.#options.driver, `${folder}/${digest}`)));
  }

  async #restoreHosted(folder: string, moved: ReadonlySet<Digest>): Promise<void> {
    if (moved.size === 0) return;
    const { driver, territory } = this.#options;
    for (const digest of await hostedAmong(driver, territory, moved)) await this.#restore(folder, digest);
  }

  /** Content that has come back another way meanwhile has the same bytes. */
  async #restore(folder: string, digest: Digest): Promise<void> {
    const { ledger, now, onRestore } = this.#options;
    const place = layout.blobData(digest);
    const found = await unlessMissing(this.#move(`${folder}/${digest}`, place).then(() => true));
    if (found === undefined) return;
    onRestore(digest);
    const stat = await unlessMissing(this.#options.driver.stat(place));
    // Whether it is hosted too is found out when it would have to go.
    if (stat !== undefined) {
      ledger.note({ digest, size: stat.size, used: now(), stored: undefined, links: [] }).spared = now() + youth;
    }
  }
}

function digestsOf(entries: readonly Entry[]): Set<Digest> {
  return new Set(entries.map(({ digest }) => digest));
}
