import { isIP } from 'node:net';
import { z } from 'zod';
import { parseAddress } from '../address.ts';
import { address, baseUrl, choice, duration, flag, headers, secret, text } from '../values.ts';
import { tlsSection } from './tls.ts';

const second = 1_000;

/** Slash, segments, slash: `/my/registry/`. */
const prefix = z.codec(z.string(), z.string(), {
  decode: (input, context) => {
    if (/^\/(?:[\w.~-]+\/)*[\w.~-]*$/.test(input)) return input.endsWith('/') ? input : `${input}/`;
    const message = 'must be a path such as /my/registry/, of letters, digits and . _ ~ -';
    context.issues.push({ code: 'custom', input, message });
    return z.NEVER;
  },
  encode: (path) => path,
});

/** Where the debug server has something else. */
const healthPath = '/debug/health';

/** A path that is compared as it is. */
const metricsPath = z.string().superRefine((input, context) => {
  const isPath = /^\/(?:[\w.~-]+\/)*[\w.~-]*$/.test(input);
  if (isPath && input !== healthPath) return;
  const message = isPath
    ? 'is where the debug server says which checks fail; choose another'
    : 'must be a path such as /metrics, of letters, digits and . _ ~ -';
  context.addIssue({ code: 'custom', input, message });
});

function isNetwork(input: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(input) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits ?? 0) <= (family === 6 ? 128 : 32);
}

/** `http`: where and how berth is reached. */
export const httpSection = z
  .object({
    /**
     * Where to listen: `host:port` with a number as port, without a host on every address of the machine. With
     * `net: unix` the path of the socket. Default: `:5000`.
     */
    addr: text.default(':5000'),

    /** `tcp` or `unix`. Default: `tcp`. */
    net: choice(['tcp', 'unix']).default('tcp'),

    /** The path below which everything is served, `/v2/` too; begins and ends with a slash. Default: `/`. */
    prefix: prefix.default('/'),

    /**
     * The URL under which clients reach berth, without a trailing slash. When it is set, every `Location` is absolute
     * and begins with it, whatever `relativeurls` says. Default: none.
     */
    host: baseUrl.optional(),

    /**
     * What distribution signs the state in its upload URLs with. Accepted, so that the file can be used by both; berth
     * keeps that state in the storage, and replicas need not share a secret. Default: none.
     */
    secret: secret.optional(),

    /**
     * Whether a `Location` is relative to the request. When it is not, scheme and host are taken from the request and
     * from what proxies say of it. Without effect when `host` is set. Default: true (distribution: false), because a
     * relative one is right behind every proxy.
     */
    relativeurls: flag.default(true),

    /**
     * Addresses and networks (`10.0.0.0/8`) of proxies before berth. What these say in `X-Forwarded-For` is taken for the
     * client's address: in the log, and where failed logins are slowed down. An addition of berth. Default: none.
     */
    trustedproxies: z
      .array(text.refine(isNetwork, { error: 'must be an address or a network, such as 10.0.0.1 or 10.0.0.0/8' }))
      .default([]),

    /** How long requests may go on after the signal to stop. Milliseconds; default: 0s, they are broken off. */
    draintimeout: duration('allowed').default(0),

    /** Headers of every answer: names and lists of values. Default: none. */
    headers: headers.default({}),

    tls: tlsSection,

    http2: z
      .object({
        /** Whether clients are offered HTTP/1.1 only. Default: false. */
        disabled: flag.default(false),
      })
      .prefault({}),

    h2c: z
      .object({
        /** Whether HTTP/2 is spoken without TLS too. Default: false. */
        enabled: flag.default(false),
      })
      .prefault({}),

    /** A second server, in clear text, for those who run berth: with metrics, and at `/debug/health` the checks that fail. */
    debug: z
      .object({
        /** Where it listens: `host:port`, without a host on every address of the machine. Default: none, there is none. */
        addr: address.optional(),
        prometheus: z
          .object({
            /** Whether it has metrics for Prometheus, which are then kept. Without effect without `addr`. Default: false. */
            enabled: flag.default(false),
            /** The path at which it has them. Default: `/metrics`. */
            path: metricsPath.default('/metrics'),
          })
          .prefault({}),
      })
      .prefault({}),

    /** An addition of berth, which distribution ignores: how long a silent client is waited for. Milliseconds. */
    timeouts: z
      .object({
        /** From the start of a request to the end of its headers. Default: 30s. */
        header: duration('refused').default(30 * second),
        /** Between two pieces of a request or response body; a body that moves may take for ever. Default: 5m. */
        body: duration('refused').default(300 * second),
        /** Between two requests of a connection. Longer than the 90s of Go clients, so that they close first. Default: 120s. */
        keepalive: duration('refused').default(120 * second),
      })
      .prefault({}),
  })
  .refine(({ net, addr }) => (net === 'unix' ? addr.includes('/') : parseAddress(addr) !== undefined), {
    path: ['addr'],
    error: 'must be host:port with a number as port, or the path of a socket with http.net unix',
  })
  .prefault({});
