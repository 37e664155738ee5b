import { Cron } from 'croner';
import { z } from 'zod';
import type { Secret } from '../secret.ts';
import { baseUrl, byteSize, count, duration, flag, secret, text } from '../values.ts';
import { isRepositoryPattern } from './auth.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

const patterns = z.array(
  text.refine(isRepositoryPattern, {
    error: 'must be a pattern of repository names, such as library/* or team-a/** (lower case, no leading slash)',
  }),
);

const hostName = /^[a-z0-9]+(?:[.-][a-z0-9]+)*(?::\d{1,5})?$/;

const hostFault = {
  error: 'must be a host, with a port where it needs one, such as auth.example.com, without https:// and path',
};

const upstream = z.object({
  /** What clients call it: `docker.io`, `quay.io`, `registry.example:5000`. Also what containerd names with `?ns=`. */
  name: text.refine((name) => hostName.test(name) && URL.canParse(`https://${name}`), {
    error: 'must be a host, with a port where it needs one, such as docker.io or registry.example:5000',
  }),
  /**
   * Where it is reached, asked in this order: accelerators first, the origin last. Default: `https://<name>`, for docker.io
   * `https://registry-1.docker.io`.
   */
  endpoints: z.array(baseUrl).min(1, { error: 'must have one at least, or be left out' }).optional(),
  /** Other names of the same. Default: none, for docker.io `index.docker.io` and `registry-1.docker.io`. */
  aliases: z.array(text.regex(/^[^/\s@*]+$/, hostFault)).optional(),
  /** Before the names of its repositories here: `<prefix>/library/alpine`. Default: the name, without a port. */
  prefix: text
    .regex(/^[a-z0-9]+(?:[._/-][a-z0-9]+)*$/, { error: 'must be the beginning of a name, such as quay.io' })
    .optional(),
  /** Whether names without a prefix that nothing is hosted under are its own, as Docker's `registry-mirrors` asks. Default: false. */
  default: flag.default(false),
  /** Of an account there: at the last endpoint, and at others on its site. Default: none. */
  username: text.optional(),
  /** Also by a variable: `REGISTRY_MIRROR_UPSTREAMS_0_PASSWORD` is that of the first upstream. */
  password: secret.optional(),
  /** Path of a file with the password, in place of `password`; read each time it is needed. Default: none. */
  passwordfile: text.optional(),
  /** Accounts at other endpoints, such as an accelerator that wants one. Default: none. */
  accounts: z
    .array(
      z.object({
        /** One of `endpoints`. */
        endpoint: baseUrl,
        username: text,
        password: secret.optional(),
        /** As that of the upstream. */
        passwordfile: text.optional(),
      }),
    )
    .default([]),
  /** Path of authorities (PEM) that are trusted beside those of the system. Default: none. */
  ca: text.optional(),
  /** Hosts of its token server, where that is on a site of another name: `auth.example.com`, `*.example.com`. Default: none. */
  realms: z.array(text.regex(/^(?:\*\.)?[^/\s@*]+$/, hostFault)).default([]),
  /** How long it is waited for. None is for a whole answer: what comes slowly comes. */
  timeouts: z
    .object({
      /** For a connection. Milliseconds; default: 10s. */
      connect: duration('refused').default(10_000),
      /** From a request until its answer begins. Milliseconds; default: 30s. */
      answer: duration('refused').default(30_000),
      /** For more of an answer that has begun. Milliseconds; default: 1m. */
      idle: duration('refused').default(minute),
    })
    .prefault({}),
  /** Which of its repositories are mirrored, as it calls them. Default: all. */
  allow: patterns.default(['**']),
  /** Which of these are not. Default: none. */
  deny: patterns.default([]),
  /** How long a tag is served without asking again where it points. Milliseconds; default: 1m. */
  revalidate: duration('allowed').default(minute),
  /** How long after that it is served when the upstream cannot be asked. Milliseconds; default: 720h (30 days). */
  maxstale: duration('allowed').default(30 * day),
  /**
   * How long the upstream is waited for when there is a tag that may be served as it was; it is asked to the end all the same.
   * Milliseconds; default: 3s.
   */
  patience: duration('allowed').default(3_000),
});

/** Docker Hub, as clients call it. */
const dockerHub = 'docker.io';

type Named = Readonly<{ name: string; prefix?: string | undefined; aliases?: readonly string[] | undefined }>;

interface Login {
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  readonly passwordfile?: string | undefined;
}

/** Before the names of its repositories here. */
export function prefixOf({ name, prefix }: Named): string {
  return prefix ?? name.replace(/:\d+$/, '');
}

/** Names beside its own. */
export function aliasesOf({ name, aliases }: Named): readonly string[] {
  return aliases ?? (name === dockerHub ? ['index.docker.io', 'registry-1.docker.io'] : []);
}

/** Five fields, as crontab(5) has them. It must come true some day, so not the 30th of February. */
const cron = text.refine(
  (input) => {
    // Croner also takes a date, which comes once.
    if (!/^(?:@\w+|\S+(?:\s+\S+){4})$/.test(input)) return false;
    try {
      return new Cron(input, { mode: '5-part', paused: true }).nextRun() !== null;
    } catch {
      return false;
    }
  },
  {
    error:
      'must be a time that comes, in five fields: minute, hour, day, month and day of the week, such as 30 3 * * 1-5',
  },
);

const scheduled = z.object({
  /** When: minute, hour, day, month, day of the week, in the time zone of the process (`TZ`; in a container UTC, unless set). */
  cron,
  /** What: images as clients name them. A tag with `*` in it means all that are like it. */
  images: z.array(text).min(1, { error: 'must not be empty' }),
  /** For what: `linux/amd64`. Default: all that an image has. */
  platforms: z.array(text).default([]),
  /** Whether signatures and all else that refers to the images come too. Default: false. */
  referrers: flag.default(false),
});

/** `mirror`, an addition of berth: registries of which it keeps what is pulled through it. */
export const mirrorSection = z
  .object({
    /** Default: none. */
    upstreams: z.array(upstream).default([]),
    /** Path of a folder where blobs are gathered while they come. Default: `_berth/mirror/incoming` in the storage if that is a file system, else one for temporary files. */
    spool: text.optional(),
    /** How many blobs come at once from each upstream; who asks for one more waits. Default: 32. */
    maxdownloads: count(1).default(32),
    /** What is fetched ahead by the clock. Default: nothing. */
    schedule: z.array(scheduled).default([]),
    /**
     * How much may be kept of all upstreams together; what was not asked for the longest goes first. A blob that is larger than
     * half of it is not kept. Bytes; default: any.
     */
    maxsize: byteSize.optional(),
    /** How long what nobody asks for is kept. Milliseconds; default: for ever. */
    maxage: duration('refused').optional(),
    /** Repositories of which nothing goes, by their names here: `docker.io/library/*`. Default: none. */
    pinned: patterns.default([]),
  })
  .superRefine(({ upstreams }, context) => {
    const complain = (index: number, path: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['upstreams', index, ...path.split('.')], message });
    const complainOfLogin = (index: number, { username, password, passwordfile }: Login, path = '') => {
      const isKnown = (password ?? passwordfile) !== undefined;
      if (password !== undefined && passwordfile !== undefined)
        complain(index, `${path}passwordfile`, 'excludes password');
      if (isKnown && username === undefined) complain(index, `${path}username`, 'is missing');
      if (!isKnown && username !== undefined) complain(index, `${path}username`, 'needs password or passwordfile');
    };
    const named = new Map<string, string>();
    const prefixed = new Map<string, string>();
    for (const [index, upstream] of upstreams.entries()) {
      const { name } = upstream;
      const called = [['name', name], ...aliasesOf(upstream).map((alias) => ['aliases', alias])] as const;
      for (const [path = '', given = ''] of called) {
        const other = named.get(given.toLowerCase());
        if (other !== undefined)
          complain(index, path, `${path === 'name' ? '' : `${given} `}is a name of ${other} already`);
        else named.set(given.toLowerCase(), name);
      }
      const prefix = prefixOf(upstream);
      for (const [other, owner] of prefixed) {
        if (!`${prefix}/`.startsWith(`${other}/`) && !`${other}/`.startsWith(`${prefix}/`)) continue;
        const advice = 'give one of them another prefix (without one it is the name, without the port)';
        complain(index, 'prefix', `overlaps with ${other}, the prefix of ${owner}: ${advice}`);
      }
      prefixed.set(prefix, name);
      for (const [place, { endpoint, ...account }] of upstream.accounts.entries()) {
        if (upstream.endpoints?.includes(endpoint) !== true) {
          complain(index, `accounts.${place}.endpoint`, 'is none of its endpoints');
        }
        complainOfLogin(index, account, `accounts.${place}.`);
      }
      complainOfLogin(index, upstream);
    }
    if (upstreams.filter(({ default: isDefault }) => isDefault).length > 1) {
      context.addIssue({ code: 'custom', path: ['upstreams'], message: 'can have one default only' });
    }
  })
  .prefault({});
