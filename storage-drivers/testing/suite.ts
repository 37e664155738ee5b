import { afterEach, beforeEach, describe, test } from 'vitest';
import { listingCases } from './cases/listing.ts';
import { moveCases } from './cases/moves.ts';
import { objectCases } from './cases/objects.ts';
import { pathCases } from './cases/paths.ts';
import { readerCases } from './cases/readers.ts';
import { removalCases } from './cases/removal.ts';
import { writerCases } from './cases/writers.ts';
import type { DriverCase, DriverFixture } from './fixture.ts';

const groups: Readonly<Record<string, readonly DriverCase[]>> = {
  objects: objectCases,
  paths: pathCases,
  readers: readerCases,
  writers: writerCases,
  listing: listingCases,
  removal: removalCases,
  moves: moveCases,
};

export interface SuiteOptions {
  /** Promises that a driver does not keep: the name of the case, and why that is right. */
  skips?: Readonly<Record<string, string>>;
  /** For each case, in milliseconds. */
  timeout?: number;
}

/**
 * Runs the contract of `driver.ts` on a driver, as `createDriver` composes it.
 *
 * @param createFixture makes an empty storage; called for each case
 */
export function describeDriver(
  name: string,
  createFixture: () => Promise<DriverFixture>,
  { skips = {}, timeout = 30_000 }: SuiteOptions = {},
): void {
  const names = new Set(Object.values(groups).flatMap((cases) => cases.map((each) => each.name)));
  for (const skip of Object.keys(skips)) {
    if (!names.has(skip)) throw new TypeError(`${name} skips a case that does not exist: ${skip}`);
  }

  describe(`${name} keeps the contract`, () => {
    for (const [group, cases] of Object.entries(groups)) {
      describe(group, () => {
        let fixture: DriverFixture;
        beforeEach(async () => {
          fixture = await createFixture();
        });
        afterEach(() => fixture.dispose());
        for (const each of cases) {
          const reason = skips[each.name];
          if (reason === undefined) test(each.name, { timeout }, () => each.run(fixture));
          else test.skip(`${each.name} (skipped: ${reason})`, () => undefined);
        }
      });
    }
  });
}
