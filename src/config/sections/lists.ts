import { z } from 'zod';
import { countOr } from '../values.ts';

/** `catalog`: `GET /v2/_catalog`. */
export const catalogSection = z
  .object({
    /** The most repositories in one answer, whatever the client asks for. 0 and less: the default, 1000. */
    maxentries: countOr(1_000, 'as 0'),
  })
  .prefault({});

/** `tags`: `GET /v2/<name>/tags/list`. */
export const tagsSection = z
  .object({
    /** The most tags in one answer to a client that asks for pages (`n`); without `n` all are sent. 0: the default, 1000. */
    maxtags: countOr(1_000, 'refused'),
  })
  .prefault({});
