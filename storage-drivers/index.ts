import type { StorageDriver } from './driver.ts';
import { createFilesystemDriver } from './filesystem/driver.ts';
import { type FilesystemOptions, parseFilesystemOptions } from './filesystem/options.ts';
import { createInMemoryDriver } from './inmemory/driver.ts';
import { type InMemoryOptions, parseInMemoryOptions } from './inmemory/options.ts';
import { DriverOptionsError, type OptionFinding, type ParsedOptions } from './options.ts';
import { createS3Driver } from './s3/driver.ts';
import { parseS3Options, type S3Options } from './s3/options.ts';
import { withCheckedPaths } from './wrappers/checked-paths.ts';

/** A driver's section of the configuration. */
export type DriverParameters = Readonly<Record<string, unknown>>;

export interface DriverKind<Options> {
  /** Checks the section and reports all that is wrong with it. */
  parseOptions(parameters: DriverParameters): ParsedOptions<Options>;
  /** Does no I/O yet. */
  create(options: Options): StorageDriver;
}

const s3 = {
  parseOptions: parseS3Options,
  create: (options) => withCheckedPaths(createS3Driver(options)),
} satisfies DriverKind<S3Options>;

/** Every driver there is, under its name in the configuration. */
export const storageDrivers = {
  filesystem: {
    parseOptions: parseFilesystemOptions,
    create: (options) => withCheckedPaths(createFilesystemDriver(options)),
  } satisfies DriverKind<FilesystemOptions>,
  inmemory: {
    parseOptions: parseInMemoryOptions,
    create: () => withCheckedPaths(createInMemoryDriver()),
  } satisfies DriverKind<InMemoryOptions>,
  s3,
  /** As distribution 2.x names it, too. */
  s3aws: s3,
};

export type DriverName = keyof typeof storageDrivers;

/** Drivers of CNCF distribution (2.8 and 3) that a configuration file may name. */
const elsewhere = new Set(['azure', 'gcs', 'oss', 'swift']);

/**
 * The driver as the registry uses it.
 *
 * @param onWarning is told what is odd in the parameters but does no harm
 * @throws DriverOptionsError when there is no such driver, or its parameters cannot be used
 */
export function createDriver(
  name: string,
  parameters: DriverParameters = {},
  onWarning: (warning: OptionFinding) => void = () => undefined,
): StorageDriver {
  if (!isDriverName(name)) throw new DriverOptionsError(name, [unknownDriver(name)]);
  const kind: DriverKind<unknown> = storageDrivers[name];
  const parsed = kind.parseOptions(parameters);
  parsed.warnings.forEach(onWarning);
  if ('faults' in parsed) throw new DriverOptionsError(name, parsed.faults);
  return kind.create(parsed.options);
}

export function isDriverName(name: string): name is DriverName {
  return Object.hasOwn(storageDrivers, name);
}

function unknownDriver(name: string): OptionFinding {
  const reason = elsewhere.has(name)
    ? 'is a storage driver of distribution that berth does not have'
    : 'is not a storage driver';
  const known = Object.keys(storageDrivers).join(', ');
  return { key: '', value: undefined, message: `${reason}; there are ${known}` };
}
