import { randomUUID } from 'node:crypto';
import { type StorageDriver, unlessMissing } from '../../../storage-drivers/driver.ts';
import type { Digest } from '../../oci/digest.ts';
import { remove } from '../../registry/links.ts';
import { type Ledger, recordOf } from './ledger.ts';
import { decodeRecords, encodeRecords } from './records.ts';

/** Beside `docker`; may be deleted while no server runs: last uses are forgotten then, and nothing else. */
const root = '/_berth/mirror/space';
const whole = `${root}/ledger`;
const journals = `${root}/journals`;

/** Entries of a journal above which the whole ledger is written instead. */
const longJournal = 4_096;

/** How long a journal may rest before it counts as that of a process that has died, in milliseconds. */
const restingTime = 3_600_000;

/**
 * Keeps a ledger in the storage, and learns from there what other processes put into theirs. Each process writes a journal
 * of its own, with what it has stored and served since it wrote the whole ledger. Of two that write the whole one the later
 * one wins; each has read the other's journal, so all that may be lost is when something was used last.
 */
export class Journal {
  readonly #driver: StorageDriver;
  readonly #ledger: Ledger;
  readonly #own = randomUUID();
  /** What this process knows and the whole ledger does not. */
  #changed = new Set<Digest>();
  /** Since the journal was written. */
  #dirty = false;
  /** What was read of the journals of others, so that what was evicted since does not come back: when it was used. */
  readonly #read = new Map<string, Map<Digest, number>>();

  constructor(driver: StorageDriver, ledger: Ledger) {
    this.#driver = driver;
    this.#ledger = ledger;
  }

  /** There is something about it that others should know. */
  changed(digest: Digest): void {
    this.#changed.add(digest);
    this.#dirty = true;
  }

  /** Takes in all that was written. */
  async load(): Promise<void> {
    const content = await unlessMissing(this.#driver.get(whole));
    for (const record of content === undefined ? [] : decodeRecords(content)) this.#ledger.note(record);
    await this.follow();
  }

  /** Takes in what others have written since the last time. */
  async follow(): Promise<void> {
    for await (const { name } of this.#driver.list(journals)) {
      if (name === this.#own) continue;
      const content = await unlessMissing(this.#driver.get(`${journals}/${name}`));
      const before = this.#read.get(name);
      const now = new Map<Digest, number>();
      for (const record of content === undefined ? [] : decodeRecords(content)) {
        now.set(record.digest, record.used);
        if (before?.get(record.digest) !== record.used) this.#ledger.note(record);
      }
      this.#read.set(name, now);
    }
  }

  /** Writes what is new, if anything is. */
  async write(): Promise<void> {
    if (!this.#dirty) return;
    this.#dirty = false;
    if (this.#changed.size > longJournal) return this.writeWhole();
    const entries = Array.from(this.#changed, (digest) => this.#ledger.get(digest)).filter(
      (entry) => entry !== undefined,
    );
    await this.#driver.put(`${journals}/${this.#own}`, encodeRecords(entries.map(recordOf)), { durable: false });
  }

  /** Writes all of it, and ends the journals of processes that have died. */
  async writeWhole(): Promise<void> {
    const changed = this.#changed;
    this.#changed = new Set();
    this.#dirty = false;
    try {
      await this.follow();
      await this.#driver.put(whole, encodeRecords(Array.from(this.#ledger.entries(), recordOf)));
    } catch (error) {
      for (const digest of changed) this.changed(digest);
      throw error;
    }
    await remove(this.#driver, `${journals}/${this.#own}`);
    for (const name of this.#read.keys()) {
      const path = `${journals}/${name}`;
      const stat = await unlessMissing(this.#driver.stat(path));
      if (stat !== undefined && Date.now() - (stat.modified?.getTime() ?? 0) < restingTime) continue;
      await remove(this.#driver, path);
      this.#read.delete(name);
    }
  }
}
