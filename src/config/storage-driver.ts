import { type Finding, shownValue } from './finding.ts';
import { type ConfigNode, emptyMap, isNull, type MapNode, nearestNode, toPlain } from './node.ts';
import type { DriverConfig } from './schema.ts';
import { concealSecrets, isSecretName, redacted, Secret } from './secret.ts';
import { suggest } from './suggest.ts';
import { standInMessage } from './values.ts';

/** What a driver says of one of its parameters. */
export interface ParameterFinding {
  /** Dotted, below `storage.<driver>`; empty for the driver as a whole. */
  readonly key: string;
  /** Goes on after the key. */
  readonly message: string;
}

/** Checks the parameters of one storage driver, as the file and the environment have them; secrets are texts. */
export type CheckParameters = (parameters: Readonly<Record<string, unknown>>) => {
  readonly faults: readonly ParameterFinding[];
  readonly warnings: readonly ParameterFinding[];
};

/** The drivers of distribution, of all its versions. */
const knownDrivers = ['filesystem', 's3', 's3aws', 'azure', 'gcs', 'inmemory', 'oss', 'swift'];

export interface TakenDriver {
  /** Undefined when there is a fault. */
  readonly driver?: DriverConfig;
  /** The tree without the driver. */
  readonly rest: MapNode;
  readonly faults: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Dotted path of every parameter → its source. */
  readonly origins: ReadonlyMap<string, string>;
}

/**
 * Takes the storage driver out of the tree: the one name in the section `storage` that is not a setting.
 *
 * @param settings the names that are settings
 */
export function takeStorageDriver(
  root: MapNode,
  settings: readonly string[],
  drivers: Readonly<Record<string, CheckParameters>>,
): TakenDriver {
  const given = root.entries.get('storage');
  const storage = given?.kind === 'map' ? given : emptyMap(given?.source ?? root.source);
  const named = [...storage.entries].filter(([name]) => !settings.includes(name));
  const others = new Map([...storage.entries].filter(([name]) => settings.includes(name)));
  // What is no section is left where it is, for the schema to refuse.
  const rest =
    given?.kind === 'map' ? new Map([...root.entries, ['storage', { ...storage, entries: others }]]) : root.entries;
  const origins = new Map(named.flatMap(([name, node]) => originsOf(node, `storage.${name}`)));
  return { ...readDriver(storage, named, settings, drivers), rest: { ...root, entries: rest }, origins };
}

type Named = readonly (readonly [string, ConfigNode])[];

function readDriver(
  storage: MapNode,
  named: Named,
  settings: readonly string[],
  drivers: Readonly<Record<string, CheckParameters>>,
) {
  const available = Object.keys(drivers).join(', ');
  const fail = (source: string, key: string, message: string) => ({
    faults: [{ source, key, message }],
    warnings: [],
  });

  const stranger = named.find(([name]) => !Object.hasOwn(drivers, name) && !knownDrivers.includes(name));
  if (stranger !== undefined) {
    const [name, { source }] = stranger;
    const meant = suggest(name, [...settings, ...Object.keys(drivers)]);
    const hint = meant === undefined ? `the drivers are ${available}` : `did you mean storage.${meant}?`;
    return fail(source, `storage.${name}`, `is neither a storage driver nor a setting; ${hint}`);
  }

  const [first, ...others] = named;
  if (first === undefined) return fail(storage.source, 'storage', `must name a storage driver: one of ${available}`);
  if (others.length > 0) return fail(storage.source, 'storage', explainSeveral(named));
  const [name, node] = first;
  const check = drivers[name];
  if (check === undefined) {
    return fail(node.source, `storage.${name}`, `is a storage driver that berth does not have; it has ${available}`);
  }
  return readParameters(name, node, check);
}

function explainSeveral(named: Named): string {
  const list = named.map(([name, { source }]) => `${name} (${source})`).join(' and ');
  const fromVariable = named.find(([, { source }]) => source.startsWith('REGISTRY_STORAGE_'));
  const advice =
    fromVariable === undefined
      ? ''
      : `. A variable adds to the section; to replace it, set REGISTRY_STORAGE=${fromVariable[0]} too`;
  return `must name exactly one storage driver, and has ${list}${advice}`;
}

function readParameters(name: string, node: ConfigNode, check: CheckParameters) {
  const at = `storage.${name}`;
  if (node.kind !== 'map' && !isNull(node)) {
    return {
      faults: [{ source: node.source, key: at, message: 'must be a section with the driver’s parameters' }],
      warnings: [],
    };
  }
  const map = node.kind === 'map' ? node : emptyMap(node.source);
  const parameters = { ...(toPlain(map, isSecretName) as Record<string, unknown>) };
  const concealed = concealSecrets(parameters) as Record<string, unknown>;
  const secrets = secretsIn(concealed);
  const findings = check(parameters);
  const locate = ({ key, message }: ParameterFinding): Finding => {
    const path = key === '' ? [] : key.split('.');
    const { node: found, whole } = nearestNode(map, path);
    const value =
      whole && found.kind === 'scalar' ? { value: shownValue(found.text, path.some(isSecretName)) } : undefined;
    return { source: found.source, key: key === '' ? at : `${at}.${key}`, ...value, message: mask(message, secrets) };
  };
  const standIns = findStandIns(map).map((key) => locate({ key, message: standInMessage }));
  return {
    driver: { name, parameters: concealed },
    faults: [...findings.faults.map(locate), ...standIns],
    warnings: findings.warnings.map(locate),
  };
}

function secretsIn(value: unknown): string[] {
  if (value instanceof Secret) return [value.reveal()];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(secretsIn) : [];
}

/** A driver that quotes a value in its message has forgotten that it may be a secret. */
function mask(message: string, secrets: readonly string[]): string {
  const spellings = secrets.flatMap((secret) => [JSON.stringify(secret).slice(1, -1), secret]);
  return spellings.filter((text) => text !== '').reduce((masked, text) => masked.replaceAll(text, redacted), message);
}

function originsOf(node: ConfigNode, path: string): [string, string][] {
  if (node.kind !== 'map') return [[path, node.source]];
  return [...node.entries].flatMap(([key, child]) => originsOf(child, `${path}.${key}`));
}

/** Dotted paths of the scalars that are what a printed configuration shows in place of secrets. */
function findStandIns(node: ConfigNode, path: readonly string[] = []): string[] {
  if (node.kind === 'map') return [...node.entries].flatMap(([key, child]) => findStandIns(child, [...path, key]));
  if (node.kind === 'list') return node.items.flatMap((item, index) => findStandIns(item, [...path, String(index)]));
  return node.text === redacted ? [path.join('.')] : [];
}
