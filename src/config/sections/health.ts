import { z } from 'zod';
import { address, count, duration, flag, httpUrl, secretHeaders, text } from '../values.ts';

const second = 1_000;

/** Time between two checks. Milliseconds; 0 and default: 10s. */
const interval = duration(10 * second).default(10 * second);

/** How many checks in a row must fail before berth calls itself unhealthy; 0 means 1. Default: 0. */
const threshold = count().default(0);

/** How long an answer is waited for. Milliseconds; 0 and default: 10s (distribution: for ever). */
const timeout = duration(10 * second).default(10 * second);

/** `health`: when berth answers 503 to everything, so that nothing is sent its way. */
export const healthSection = z
  .object({
    /** Looks whether the storage answers. */
    storagedriver: z
      .object({
        /** Default: false. */
        enabled: flag.default(false),
        interval,
        threshold,
      })
      .prefault({}),

    /** Files: berth is unhealthy while one of them **exists**, e.g. to take it out of service by hand. Default: none. */
    file: z
      .array(
        z.object({
          /** The path. */
          file: text,
          interval,
          threshold,
        }),
      )
      .default([]),

    /** URLs that must answer to HEAD. Default: none. */
    http: z
      .array(
        z.object({
          uri: httpUrl,
          /** Headers of the request: names and lists of values. May hold credentials and so are secret. Default: none. */
          headers: secretHeaders.default({}),
          /** The status it must answer with. Default: 200. */
          statuscode: count(100).max(599, { error: 'must be a status from 100 to 599' }).default(200),
          timeout,
          interval,
          threshold,
        }),
      )
      .default([]),

    /** Addresses that must take a connection. Default: none. */
    tcp: z
      .array(
        z.object({
          /** `host:port`. */
          addr: address,
          timeout,
          interval,
          threshold,
        }),
      )
      .default([]),
  })
  .prefault({});
