import { z } from 'zod';
import { choice, flag } from '../values.ts';

/** `log`: what is written to standard output and error. */
export const logSection = z
  .object({
    accesslog: z
      .object({
        /** Whether the line for each request is left out. Default: false. */
        disabled: flag.default(false),
      })
      .prefault({}),

    /** The least severe messages that are written: `error`, `warn`, `info` or `debug`. Default: `info`. */
    level: choice(['error', 'warn', 'info', 'debug']).default('info'),

    /** How a line looks: `text` for people, `json`, or `logstash` (JSON with Logstash's names). Default: `text`. */
    formatter: choice(['text', 'json', 'logstash']).default('text'),

    /** Names and values that every line carries, e.g. `service: registry`. Default: none. */
    fields: z.record(z.string(), z.unknown()).default({}),
  })
  .prefault({});
