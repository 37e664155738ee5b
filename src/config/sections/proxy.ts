import { z } from 'zod';
import { baseUrl, duration, secret, text } from '../values.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

/** `proxy`: makes all of the registry a pull-through cache of one other, to which nothing can be pushed. */
export const proxySection = z
  .object({
    /** Where that one is: `https://registry-1.docker.io`. Default: none, it is no cache. */
    remoteurl: baseUrl.optional(),

    /** Of an account there. Default: none. */
    username: text.optional(),
    password: secret.optional(),

    /** In place of an account: a program that knows one. */
    exec: z
      .object({
        /** A credential helper as Docker has them, by its path or as it is found in PATH. It is run with the argument `get`. */
        command: text,
        /** How long what it says is used. 0: for one request only. Milliseconds; default: none, until the server stops. */
        lifetime: duration('allowed').optional(),
      })
      .optional(),

    /** How long what nobody asks for is kept. 0: for ever. Milliseconds; default: 168h. */
    ttl: duration('allowed').default(7 * day),

    /**
     * How long distribution goes on to store a blob whose client has left. Accepted and without effect: berth goes on as
     * long as bytes come. Milliseconds; default: 5m.
     */
    cachewritetimeout: duration('allowed').default(5 * minute),
  })
  .prefault({});
