import { z } from 'zod';
import { count, duration, flag } from '../values.ts';

const day = 24 * 3_600_000;

/**
 * `storage`, without the driver: every other name in this section of the file is the name of the storage driver
 * (`storage-driver.ts`).
 */
export const storageSection = z
  .object({
    delete: z
      .object({
        /** Whether manifests, tags and blobs may be deleted; otherwise a deletion is answered with 405. Default: false. */
        enabled: flag.default(false),
      })
      .prefault({}),

    redirect: z
      .object({
        /**
         * Whether blobs always pass through berth, also where the driver has a URL at which the client could fetch them
         * itself. Default: false.
         */
        disable: flag.default(false),
      })
      .prefault({}),

    maintenance: z
      .object({
        /** Removes uploads that nobody finished. Each key may be left out. */
        uploadpurging: z
          .object({
            /** Default: true. */
            enabled: flag.default(true),
            /** How old an upload must be, from its start or its last write, whichever is later. Milliseconds; default: 168h. */
            age: duration('refused').default(7 * day),
            /** Time between two runs. Milliseconds; default: 24h. */
            interval: duration('refused').default(day),
            /** Whether a run only says what it would remove. Default: false. */
            dryrun: flag.default(false),
          })
          .prefault({}),

        readonly: z
          .object({
            /** Whether everything that writes is refused. Default: false. */
            enabled: flag.default(false),
          })
          .prefault({}),
      })
      .prefault({}),

    tag: z
      .object({
        /**
         * How many tags distribution looks up at a time. Accepted and without effect: berth has no such limit.
         * Default: none.
         */
        concurrencylimit: count().optional(),
      })
      .prefault({}),
  })
  .prefault({});
