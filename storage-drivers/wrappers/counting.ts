import type { StorageDriver } from '../driver.ts';
import { intercept, type StorageOperation } from './intercept.ts';

export interface CountedDriver {
  readonly driver: StorageDriver;
  /** How often each operation was begun; those that were not are absent. */
  readonly counts: ReadonlyMap<StorageOperation, number>;
  reset(): void;
}

/** Counts what is asked of a driver: what a request costs, or whether a cache saves what it should. */
export function withCounts(driver: StorageDriver): CountedDriver {
  const counts = new Map<StorageOperation, number>();
  return {
    driver: intercept(driver, (call, proceed) => {
      counts.set(call.operation, (counts.get(call.operation) ?? 0) + 1);
      return proceed();
    }),
    counts,
    reset: () => counts.clear(),
  };
}
