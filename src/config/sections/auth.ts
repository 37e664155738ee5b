import { z } from 'zod';
import { baseUrl, choice, duration, flag, httpUrl, text } from '../values.ts';

const minute = 60_000;
const day = 24 * 60 * minute;

/** What ends up between quotes in a header that clients read without escapes. */
const quotable = text.regex(/^[ !#-[\]-~]+$/, {
  error: 'must be letters, digits and signs of ASCII, without quotes and backslashes',
});

/** Whether it can match names of repositories at all. `{name}` is the name of the user who asks. */
export function isRepositoryPattern(text: string): boolean {
  return /^(?!\/)[a-z0-9._/*-]+$/.test(text.replaceAll('{name}', 'x'));
}

/** Patterns of names with slashes, see `createGlob`. */
const repositories = z.array(
  text.refine(isRepositoryPattern, {
    error: 'must be a pattern of repository names, such as library/* or team-a/** (lower case, no leading slash)',
  }),
);

/** What an identity is written like, or a pattern of several. */
const identity = text.regex(/^(?:user|token|oidc|certificate):./, {
  error: 'must be user:<name>, token:<name>, oidc:<issuer>:<subject> or certificate:<name>, or a pattern of these',
});

const who = text.regex(/^(?:anonymous$|users$|(?:group|user|token|oidc|certificate):.)/, {
  error:
    'must be anonymous, users, group:<name>, user:<name>, token:<name>, oidc:<issuer>:<subject> or certificate:<name>',
});

/** Signatures that only the owner of a private key can make: never one that is made with a shared secret. */
export const signingAlgorithms = [
  'EdDSA',
  'RS256',
  'RS384',
  'RS512',
  'ES256',
  'ES384',
  'ES512',
  'PS256',
  'PS384',
  'PS512',
] as const;

/** `auth.htpasswd`: who has a password may do everything. */
const htpasswdSection = z.object({
  /** What clients show when they ask for the password. */
  realm: quotable,
  /** Path of the file with users and bcrypt hashes; read again when it changes. */
  path: text,
});

/** `auth.token`: tokens of a token server that is another program. */
const tokenSection = z.object({
  /** URL where clients get tokens. */
  realm: httpUrl,
  /** What tokens must be made for (`aud`). */
  service: quotable,
  /** Who must have made them (`iss`). */
  issuer: text,
  /** Path of certificates (PEM): of the token server's key, or of the authority that signed it. Default: none. */
  rootcertbundle: text.optional(),
  /** Path of a JSON Web Key Set with the token server's public keys. Default: none. */
  jwks: text.optional(),
  /** Algorithms of signatures that are believed. Default: all that berth knows. */
  signingalgorithms: z
    .array(z.enum(signingAlgorithms, { error: `must be one of ${signingAlgorithms.join(', ')}` }))
    .default([...signingAlgorithms]),
  /** Whether clients are sent to `autoredirectpath` on the host under which they reached berth. Default: false. */
  autoredirect: flag.default(false),
  /** Default: `/auth/token/`. */
  autoredirectpath: text.startsWith('/', { error: 'must begin with a slash' }).default('/auth/token/'),
});

/** `auth.builtin`, an addition of berth: its own token server, and who may do what. */
const builtinSection = z
  .object({
    /** What berth calls itself in tokens (`iss` and `aud`). The same for all replicas. Default: `berth`. */
    service: quotable.default('berth'),

    /** URL of the token endpoint. Default: `/auth/token` on the host under which the client reached berth. */
    realm: baseUrl.optional(),

    /** Path of the file with users and bcrypt hashes (`berth htpasswd`); read again when it changes. Default: no users. */
    users: text.optional(),

    /** Groups: lists of identities (`user:alice`, `oidc:github:my-org/*`). Default: none. */
    groups: z.record(z.string(), z.array(identity)).default({}),

    /** Rules; each gives something, none takes anything away. What no rule gives is denied. */
    policy: z
      .array(
        z.object({
          /** Patterns: `*` is anything but a slash, `**` anything, `{name}` the name of the user who asks. Default: all. */
          repositories: repositories.default(['**']),
          /** `anonymous` (everybody), `users`, `group:<name>`, or patterns of identities: `user:alice`, `token:ci-*`. */
          who: z.array(who).min(1, { error: 'must name somebody' }),
          /** `pull`, `push` (and pull), `delete`, `catalog` (list repositories), `admin` (all of these). */
          actions: z
            .array(choice(['pull', 'push', 'delete', 'catalog', 'admin']))
            .min(1, { error: 'must name an action' }),
        }),
      )
      .default([]),

    /** How long a token serves for requests. Milliseconds, from 1m to 1h; default: 5m. */
    tokenlifetime: duration('refused')
      .refine((milliseconds) => milliseconds >= minute && milliseconds <= 60 * minute, {
        error: 'must be from 1m, which clients count on, to 1h, as what is revoked serves for so long',
      })
      .default(5 * minute),

    /** How long a `docker login` is good for. Milliseconds; default: 2160h (90 days). */
    loginlifetime: duration('refused').default(90 * day),

    /** Which name in a client's certificate (`http.tls.clientcas`) is its identity. Default: none. */
    certificates: choice(['commonname', 'dns', 'email', 'uri']).optional(),

    /** Whose ID tokens are taken for a password: CI systems, clusters. Default: nobody's. */
    issuers: z
      .array(
        z.object({
          /** Its name in identities, `oidc:<name>:<subject>`: letters, digits, `_` and `-`. */
          name: text.regex(/^[A-Za-z0-9_-]+$/, { error: 'must be letters, digits, _ and -' }),
          /** As its tokens name it (`iss`). */
          issuer: httpUrl,
          /** What its tokens must be made for (`aud`), one of these. */
          audience: z.array(text).min(1, { error: 'must name an audience' }),
          /** Where its keys are. Default: what `<issuer>/.well-known/openid-configuration` says. */
          jwksurl: httpUrl.optional(),
          /** Path of the authority (PEM) that signed the issuer's certificate. Default: those of the system. */
          ca: text.optional(),
          /** Claims that a token must have, each with a pattern. Default: none. */
          require: z.record(z.string(), text).default({}),
          /** Which claims make the identity. Default: `{sub}`. */
          subject: text.default('{sub}'),
        }),
      )
      .default([]),
  })
  .superRefine(({ groups, policy, issuers }, context) => {
    for (const key of ['name', 'issuer'] as const) {
      for (const [index, issuer] of issuers.entries()) {
        if (issuers.findIndex((other) => other[key] === issuer[key]) === index) continue;
        context.addIssue({ code: 'custom', path: ['issuers', index, key], message: 'is that of another issuer too' });
      }
    }
    for (const [index, rule] of policy.entries()) {
      for (const [at, who] of rule.who.entries()) {
        const group = who.startsWith('group:') ? who.slice('group:'.length) : undefined;
        if (group === undefined || Object.hasOwn(groups, group)) continue;
        const message = `names a group that auth.builtin.groups does not have`;
        context.addIssue({ code: 'custom', path: ['policy', index, 'who', at], message });
      }
    }
  });

/** `auth`: who may come in. Exactly one of its sections, or none: then everybody may do everything. */
export const authSection = z
  .object({
    /** Says that everybody may do everything. */
    none: z.unknown().optional(),
    htpasswd: htpasswdSection.optional(),
    token: tokenSection.optional(),
    builtin: builtinSection.optional(),
  })
  .superRefine((auth, context) => {
    const given = Object.keys(auth).filter((key) => auth[key as keyof typeof auth] !== undefined);
    if (given.length > 1) {
      context.addIssue({ code: 'custom', message: `must have one section, and has ${given.join(' and ')}` });
    }
  })
  .optional();
