import { readFile } from 'node:fs/promises';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createDriver } from '../../storage-drivers/index.ts';
import { parseHtpasswd } from '../auth/passwords/htpasswd.ts';
import type { SharedStore } from '../auth/store.ts';
import type { Config } from '../config/schema.ts';
import { revealSecrets } from '../config/secret.ts';
import { authStore, createSharedStore } from '../shared-store.ts';
import { CommandError } from './command-error.ts';
import { configure } from './configure.ts';
import { becomeOwner } from './privileges.ts';

export type BuiltinConfig = NonNullable<NonNullable<Config['auth']>['builtin']>;

/** @throws CommandError when the users file of the configuration does not have the user */
export async function requireUser({ users }: BuiltinConfig, name: string): Promise<void> {
  const known = users === undefined ? undefined : parseHtpasswd(await readFile(users, 'utf8')).hashes;
  if (known?.has(name)) return;
  throw new CommandError(`there is no user ${name} in ${users ?? 'auth.builtin.users, which is not set'}`);
}

/** The configuration, which must have `auth.builtin`, and what that shares among replicas. */
export async function withSharedStore<T>(
  path: string | undefined,
  use: (store: SharedStore, builtin: BuiltinConfig) => Promise<T>,
): Promise<T> {
  const { config, source } = await configure(path);
  const builtin = config.auth?.builtin;
  if (builtin === undefined) throw new CommandError(`${source} has no section auth.builtin`);
  return withStorage(config, source, (driver) => use(createSharedStore(driver, authStore), builtin));
}

/** The storage of a configuration. @param source where that is from, for errors */
export async function withStorage<T>(
  { storage }: Config,
  source: string,
  use: (driver: StorageDriver) => Promise<T>,
): Promise<T> {
  const { name, parameters } = storage.driver;
  if (name === 'inmemory')
    throw new CommandError(`${source} keeps everything in the memory of the server, which no command can reach`);
  // As the server does: what root makes, it could not read.
  await becomeOwner(storage);
  const driver = createDriver(name, revealSecrets(parameters));
  try {
    return await use(driver);
  } finally {
    await driver.close?.();
  }
}
