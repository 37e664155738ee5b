import { z } from 'zod';
import { choice, countOr, duration, flag, httpUrl, secretHeaders, text } from '../values.ts';

const second = 1_000;

const actions = choice(['pull', 'push', 'mount', 'delete']);

const endpoint = z
  .object({
    /** For the log and the metrics. Default: `endpoint-0`, `endpoint-1` and so on, by its place. */
    name: text.optional(),
    /** Whether it is told nothing. Default: false. */
    disabled: flag.default(false),
    /** Where events are sent, by POST. */
    url: httpUrl.optional(),
    /** Headers of that: names and lists of values. May hold credentials and so are secret. Default: none. */
    headers: secretHeaders.default({}),
    /** How long an answer is waited for. Milliseconds; 0 and default: 1s. */
    timeout: duration(second).default(second),
    /** How often in a row it is tried at once; after so many failures there is a `backoff` before each. 0 and default: 10. */
    threshold: countOr(10, 'as 0'),
    /** Milliseconds; 0 and default: 1s. */
    backoff: duration(second).default(second),
    /** As `ignore.mediatypes`; both count. Default: none. */
    ignoredmediatypes: z.array(text).default([]),
    /** What it is not told. */
    ignore: z
      .object({
        /** Of what a manifest or blob is; that of blobs is `application/octet-stream`. Default: none. */
        mediatypes: z.array(text).default([]),
        /** `pull`, `push`, `mount`, `delete`. Default: none. */
        actions: z.array(actions).default([]),
      })
      .prefault({}),
  })
  .superRefine(({ disabled, url }, context) => {
    if (!disabled && url === undefined)
      context.addIssue({ code: 'custom', path: ['url'], message: 'is missing: events must go somewhere' });
  });

/** `notifications`: who is told of each push, pull, mount and deletion. */
export const notificationsSection = z
  .object({
    events: z
      .object({
        /** Whether what is told of a manifest includes what it refers to. Default: false. */
        includereferences: flag.default(false),
      })
      .prefault({}),
    /** Default: none. */
    endpoints: z.array(endpoint).default([]),
  })
  .prefault({});
