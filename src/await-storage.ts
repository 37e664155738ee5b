import { setTimeout as delay } from 'node:timers/promises';
import type { StorageDriver } from '../storage-drivers/driver.ts';
import type { Log } from './http/log.ts';

/** How long a storage on other machines may take to come up, in milliseconds. */
const defaultPatience = 300_000;

export interface AwaitStorageOptions {
  readonly driver: StorageDriver;
  readonly write: boolean;
  readonly log: Log;
  /** Is told why the storage cannot be used yet. */
  onFault(error: unknown): void;
  readonly patience?: number;
}

/**
 * Resolves when the storage can be used. One on this machine must be there at once; one elsewhere (with its bucket, its
 * keys, its network) is waited for, as all may be started together.
 *
 * @throws StorageError the last fault
 */
export async function awaitStorage(options: AwaitStorageOptions): Promise<void> {
  const { driver, write, log, onFault, patience = defaultPatience } = options;
  if (driver.check === undefined || (!write && !driver.remote)) return;
  for (let wait = 500, waited = 0; ; waited += wait, wait = Math.min(wait * 2, 10_000)) {
    try {
      return await driver.check({ write });
    } catch (error) {
      onFault(error);
      if (!driver.remote || waited >= patience) throw error;
      log.warn('the storage cannot be used yet', { error, retry_in_ms: wait });
      await delay(wait);
    }
  }
}
