import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { settleAuth } from './auth-kind.ts';
import { applyEnvironment, type Environment } from './environment.ts';
import { ConfigError, type Finding, shownValue } from './finding.ts';
import { explainIssue } from './messages.ts';
import { type ConfigNode, emptyMap, isNull, type MapNode, nearestNode } from './node.ts';
import { type InputNotes, readInput } from './read-input.ts';
import { reviewConfig, reviewKeys } from './review.ts';
import { type Config, configSchema } from './schema.ts';
import { type SectionShape, shapeAt, shapeOf } from './shape.ts';
import { type CheckParameters, takeStorageDriver } from './storage-driver.ts';
import { unsupportedNamesIn } from './unsupported.ts';
import { inFile, readYaml } from './yaml.ts';

/** Where a file is looked for when none is named: berth's own place, then those of distribution's images, 3 and 2. */
export const defaultPaths = [
  '/etc/berth/config.yml',
  '/etc/distribution/config.yml',
  '/etc/docker/registry/config.yml',
];

export interface FindOptions {
  /** What the command line names. */
  argument: string | undefined;
  /** `process.env`, of which REGISTRY_CONFIGURATION_PATH counts. */
  environment: Environment;
  /** Default: asks the file system. */
  exists?: (path: string) => boolean;
}

/**
 * The file to load: the one that the argument names, else the variable REGISTRY_CONFIGURATION_PATH, else the first of
 * {@link defaultPaths} that exists. Whether a named one exists is not asked: to load it will fail, which is right.
 *
 * @returns undefined when there is none: berth's own defaults are loaded then
 */
export function findConfigPath({ argument, environment, exists = existsSync }: FindOptions): string | undefined {
  return argument || environment.REGISTRY_CONFIGURATION_PATH || defaultPaths.find((path) => exists(path));
}

export interface LoadOptions {
  /** As {@link findConfigPath} says; undefined: berth's own defaults. */
  path: string | undefined;
  /** `process.env`, of which the variables `REGISTRY_…` count. */
  environment: Environment;
  /** The storage drivers there are, by name (aliases too), each with the check of its parameters. */
  drivers: Readonly<Record<string, CheckParameters>>;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What was loaded, as one line for the log. */
  readonly source: string;
  /** What has no effect, or not the expected one. */
  readonly warnings: readonly Finding[];
  /** For each key that was given, by its dotted path, `file:line` or the variable; all others are defaults. */
  readonly origins: ReadonlyMap<string, string>;
}

const builtIn = {
  text: 'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}',
  source: 'built-in default',
};

/**
 * Reads the file, puts the environment over it and checks the whole.
 *
 * @throws ConfigError with every fault there is (those of the YAML itself alone: nothing can be said of the rest)
 */
export async function loadConfig({ path, environment, drivers }: LoadOptions): Promise<LoadedConfig> {
  const root = await readRoot(path);
  const shape = shapeOf(configSchema) as SectionShape;
  const variables = applyEnvironment(root, shape, environment, expandShorthands);
  adoptLogLevel(root);
  const authKinds = [...unsupportedNamesIn('auth'), ...Object.keys(configSchema.shape.auth.unwrap().shape)];
  const auth = settleAuth(root, authKinds);

  const settings = [...unsupportedNamesIn('storage'), ...Object.keys(configSchema.shape.storage.unwrap().shape)];
  const storage = takeStorageDriver(root, settings, drivers);
  const notes: InputNotes = { faults: [], warnings: [], origins: new Map(storage.origins) };
  const input = readInput(storage.rest, shape, '', notes);
  const parsed = configSchema.safeParse(input, { error: explainIssue });
  const issues = parsed.success
    ? []
    : parsed.error.issues.map(({ path, message }) => locate(root, shape, path, message));

  const faults = [
    ...variables.faults,
    ...auth.faults,
    ...storage.faults,
    ...notes.faults,
    ...issues,
    ...reviewKeys(notes.origins),
  ];
  if (!parsed.success || storage.driver === undefined || faults.length > 0) throw new ConfigError(faults);
  const config: Config = { ...parsed.data, storage: { ...parsed.data.storage, driver: storage.driver } };
  const warnings = [
    ...variables.warnings,
    ...auth.warnings,
    ...storage.warnings,
    ...notes.warnings,
    ...reviewConfig(parsed.data, notes.origins),
  ];
  const source = path ?? `no configuration file in ${defaultPaths.join(', ')}: built-in defaults`;
  return { config, source, warnings, origins: notes.origins };
}

async function readRoot(path: string | undefined): Promise<MapNode> {
  const text = path === undefined ? builtIn.text : await readText(path);
  const read = readYaml(text, path === undefined ? () => builtIn.source : inFile(path));
  if ('faults' in read) throw new ConfigError(read.faults);
  const { node } = read;
  if (node.kind !== 'map' && !isNull(node)) {
    throw new ConfigError([{ source: node.source, key: '', message: 'is not a configuration: it must be a section' }]);
  }
  const root = node.kind === 'map' ? node : emptyMap(node.source);
  expandShorthands(root);
  return root;
}

const readFaults: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'permission is denied',
  EISDIR: 'it is a directory',
};

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new ConfigError([{ source: path, key: '', message: `cannot be read: ${readFaults[code] ?? code}` }]);
  }
}

/** `storage: s3` and `auth: htpasswd` stand for a section with that one name. */
function expandShorthands(root: MapNode): void {
  for (const key of ['storage', 'auth']) {
    const node = root.entries.get(key);
    if (node?.kind !== 'scalar' || isNull(node)) continue;
    const nothing: ConfigNode = { kind: 'scalar', text: '', plain: true, source: node.source };
    root.entries.set(key, { kind: 'map', entries: new Map([[node.text, nothing]]), source: node.source });
  }
}

/** The deprecated `loglevel` counts where `log.level` is not given. */
function adoptLogLevel(root: MapNode): void {
  const level = root.entries.get('loglevel');
  const given = root.entries.get('log');
  const log = given === undefined || isNull(given) ? emptyMap(root.source) : given;
  if (level === undefined || log.kind !== 'map' || !isNull(log.entries.get('level'))) return;
  log.entries.set('level', level);
  root.entries.set('log', log);
}

function locate(root: MapNode, shape: SectionShape, path: readonly PropertyKey[], message: string): Finding {
  const { node, whole } = nearestNode(root, path);
  const leaf = shapeAt(shape, path);
  const secret = leaf?.kind === 'text' && leaf.secret;
  const value = whole && node.kind === 'scalar' ? { value: shownValue(node.text, secret) } : undefined;
  return { source: node.source, key: path.join('.'), ...value, message };
}
