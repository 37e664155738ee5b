import { z } from 'zod';
import type { Secret } from './secret.ts';
import { authSection } from './sections/auth.ts';
import { healthSection } from './sections/health.ts';
import { httpSection } from './sections/http.ts';
import { catalogSection, tagsSection } from './sections/lists.ts';
import { logSection } from './sections/log.ts';
import { mirrorSection } from './sections/mirror.ts';
import { notificationsSection } from './sections/notifications.ts';
import { proxySection } from './sections/proxy.ts';
import { storageSection } from './sections/storage.ts';
import { validationSection } from './sections/validation.ts';

/**
 * The configuration file: distribution's `config.yml`, version 0.1, as far as berth acts on it (`unsupported.ts` has the
 * rest). Names, nesting and, unless a key says otherwise, defaults are distribution's.
 *
 * It describes the file after YAML has been read and before the driver has been put in: see {@link Config}.
 */
export const configSchema = z.object({
  /** The version of this format; always given, always 0.1. */
  version: z.literal('0.1', { error: 'must be 0.1, the only version of the format' }),
  log: logSection,
  storage: storageSection,
  auth: authSection,
  http: httpSection,
  catalog: catalogSection,
  tags: tagsSection,
  validation: validationSection,
  health: healthSection,
  notifications: notificationsSection,
  proxy: proxySection,
  mirror: mirrorSection,
});

/** What `configSchema` yields. */
export type ConfigValues = z.output<typeof configSchema>;

/** The storage driver that the file names. */
export interface DriverConfig {
  /** As written, e.g. `filesystem`. */
  readonly name: string;
  /** As written, not interpreted; secrets are {@link Secret}s, and `revealSecrets` turns them into texts. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/**
 * The configuration, complete and valid. Grouped and named as in the file, with one exception: in the file the driver is
 * a key `storage.<name>`, here it is `storage.driver`. Spans of time are in milliseconds. Prints without its secrets.
 */
export type Config = DeepReadonly<Omit<ConfigValues, 'storage'>> & {
  readonly storage: DeepReadonly<ConfigValues['storage']> & { readonly driver: DriverConfig };
};

type DeepReadonly<T> = T extends Secret
  ? T
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;
