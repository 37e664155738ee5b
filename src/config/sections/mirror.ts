import { z } from 'zod';
import { byteSize, duration, flag, httpUrl, secret, text } from '../values.ts';
import { isRepositoryPattern } from './auth.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

const patterns = z.array(
  text.refine(isRepositoryPattern, {
    error: 'must be a pattern of repository names, such as library/* or team-a/** (lower case, no leading slash)',
  }),
);

const upstream = z.object({
  /** What clients call it: `docker.io`, `quay.io`, `registry.example:5000`. Also what containerd names with `?ns=`. */
  name: text.regex(/^[a-z0-9]+(?:[.-][a-z0-9]+)*(?::\d{1,5})?$/, {
    error: 'must be a host, with a port where it needs one, such as docker.io or registry.example:5000',
  }),
  /**
   * Where it is reached, asked in this order: accelerators first, the origin last. Default: `https://<name>`, for docker.io
   * `https://registry-1.docker.io`.
   */
  endpoints: z.array(httpUrl).optional(),
  /** Other names of the same. Default: none, for docker.io `index.docker.io` and `registry-1.docker.io`. */
  aliases: z.array(text).optional(),
  /** Before the names of its repositories here: `<prefix>/library/alpine`. Default: the name, without a port. */
  prefix: text
    .regex(/^[a-z0-9]+(?:[._/-][a-z0-9]+)*$/, { error: 'must be the beginning of a name, such as quay.io' })
    .optional(),
  /** Whether names without a prefix that nothing is hosted under are its own, as Docker's `registry-mirrors` asks. Default: false. */
  default: flag.default(false),
  /** Of an account there. Default: none. */
  username: text.optional(),
  password: secret.optional(),
  /** Path of a file with the password, in place of `password`; read each time it is needed. Default: none. */
  passwordfile: text.optional(),
  /** Path of an authority (PEM) that is trusted beside those of the system. Default: none. */
  ca: text.optional(),
  /** Hosts of its token server, where that is on a site of another name: `auth.example.com`. Default: none. */
  realms: z.array(text).default([]),
  /** Which of its repositories are mirrored, as it calls them. Default: all. */
  allow: patterns.default(['**']),
  /** Which of these are not. Default: none. */
  deny: patterns.default([]),
  /** How long a tag is served without asking again where it points. Milliseconds; default: 1m. */
  revalidate: duration('allowed').default(minute),
  /** How long after that it is served when the upstream cannot be asked. Milliseconds; default: 720h (30 days). */
  maxstale: duration('allowed').default(30 * day),
});

/** `mirror`, an addition of berth: registries of which it keeps what is pulled through it. */
export const mirrorSection = z
  .object({
    /** Default: none. */
    upstreams: z.array(upstream).default([]),
    /** Path of a folder where blobs are gathered while they come. Default: `_berth/mirror` in the storage, else the system's. */
    spool: text.optional(),
    /** How much may be kept of all upstreams together; what was not asked for the longest goes first. Bytes; default: any. */
    maxsize: byteSize.optional(),
    /** How long what nobody asks for is kept. Milliseconds; default: for ever. */
    maxage: duration('refused').optional(),
    /** Repositories of which nothing goes, by their names here: `docker.io/library/*`. Default: none. */
    pinned: patterns.default([]),
  })
  .superRefine(({ upstreams }, context) => {
    const taken = new Map<string, string>();
    for (const [index, { name, aliases = [], prefix, password, passwordfile, username }] of upstreams.entries()) {
      const complain = (path: string, message: string) =>
        context.addIssue({ code: 'custom', path: ['upstreams', index, path], message });
      for (const [path, key] of [
        ['name', `name ${name}`],
        ['prefix', `prefix ${prefix ?? name}`],
        ...aliases.map((alias) => ['aliases', `name ${alias}`] as const),
      ] as const) {
        if (taken.has(key)) complain(path, `is that of another upstream too, ${taken.get(key)}`);
        taken.set(key, name);
      }
      if (password !== undefined && passwordfile !== undefined) complain('passwordfile', 'excludes password');
      if ((password ?? passwordfile) !== undefined && username === undefined) complain('username', 'is missing');
    }
    if (upstreams.filter(({ default: isDefault }) => isDefault).length > 1) {
      context.addIssue({ code: 'custom', path: ['upstreams'], message: 'can have one default only' });
    }
  })
  .prefault({});
