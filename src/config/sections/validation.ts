import { z } from 'zod';
import { choice, flag, regularExpression, text } from '../values.ts';

/** `validation`: what a manifest must satisfy to be taken, beyond its form. */
export const validationSection = z
  .object({
    /** Whether nothing of this section is checked. Default: false. */
    disabled: flag.default(false),

    manifests: z
      .object({
        /**
         * The URLs that layers may name as the place of their content. With neither list, any (distribution: none, so
         * that it refuses every image with such layers). Regular expressions, found anywhere in the URL unless anchored; `compileExpression` compiles them.
         */
        urls: z
          .object({
            /** A URL must match one of these. Default: none, any URL will do. */
            allow: z.array(regularExpression).default([]),
            /** A URL must match none of these. Default: none. */
            deny: z.array(regularExpression).default([]),
          })
          .prefault({}),

        indexes: z
          .object({
            /**
             * Of which platforms the manifests must be there before an index is taken: `all`, `none`, or those in
             * `platformlist` (`list`). Default: `all`.
             */
            platforms: choice(['all', 'none', 'list']).default('all'),

            /** The platforms that `list` means. Default: none. */
            platformlist: z
              .array(
                z.object({
                  /** As in a manifest, e.g. `amd64`. */
                  architecture: text,
                  /** As in a manifest, e.g. `linux`. */
                  os: text,
                }),
              )
              .default([]),
          })
          .prefault({}),
      })
      .prefault({}),
  })
  .prefault({});
