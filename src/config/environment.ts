import type { Finding } from './finding.ts';
import { type ConfigNode, emptyMap, type MapNode } from './node.ts';
import { anyShape, type SectionShape, type Shape } from './shape.ts';
import { suggest } from './suggest.ts';
import { findUnsupported, unsupportedNamesIn } from './unsupported.ts';
import { inVariable, readYaml } from './yaml.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const prefix = 'REGISTRY_';

/** Named like keys, but meant for others. */
const notKeys: readonly RegExp[] = [
  // Where the file is, see `findConfigPath`.
  /^REGISTRY_CONFIGURATION_PATH$/,
  // What Kubernetes and Docker links set in every container beside a service called `registry`.
  /^REGISTRY_SERVICE_(?:HOST|PORT(?:_\w+)?)$/,
  /^REGISTRY_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/,
];

/**
 * Variables carry the names of distribution's Go fields. These are the ones that differ from the key in more than case;
 * `*` stands for the index in a list.
 */
const fieldNames: Readonly<Record<string, string>> = {
  'log.hooks.*.options': 'MAILOPTIONS',
  'notifications.events': 'EVENTCONFIG',
  'health.file': 'FILECHECKERS',
  'health.http': 'HTTPCHECKERS',
  'health.tcp': 'TCPCHECKERS',
};

/**
 * Puts the variables `REGISTRY_…` into the tree, by distribution's rule: the name is the path, in capitals and joined by
 * `_`; the value is YAML and replaces what is there. In a list the name has an index, and the index behind the last item
 * adds one. Keys of maps are taken in lower case, hyphens and all.
 *
 * The order is that of the names, so that `REGISTRY_STORAGE=s3` first replaces the whole section and
 * `REGISTRY_STORAGE_S3_BUCKET` then fills it.
 *
 * @param root is changed
 * @param settle is called after each variable, to bring shorthands into their full form
 */
export function applyEnvironment(
  root: MapNode,
  shape: SectionShape,
  environment: Environment,
  settle: (root: MapNode) => void,
): { faults: Finding[]; warnings: Finding[] } {
  const faults: Finding[] = [];
  const warnings: Finding[] = [];
  const names = Object.keys(environment).filter((name) => name.startsWith(prefix));
  for (const name of names.filter((name) => !notKeys.some((pattern) => pattern.test(name))).sort(compareNames)) {
    const place = findPlace(root, shape, name);
    if (place.refusal !== undefined) {
      const { severity, key, message } = place.refusal;
      (severity === 'fault' ? faults : warnings).push({ source: name, key, message });
      continue;
    }
    const value = readYaml(environment[name] ?? '', inVariable(name), place.path.join('.'));
    if ('faults' in value) faults.push(...value.faults);
    else putNode(root, place.path, value.node);
    settle(root);
  }
  return { faults, warnings };
}

/** A key in a map, or an index in a list. */
type Step = string | number;

interface Place {
  readonly path: readonly Step[];
  /** Why nothing can be put there. */
  readonly refusal?: { severity: 'fault' | 'warning'; key: string; message: string };
}

/** Goes down the tree and the shape at once: the shape says what a name stands for, the tree how long a list is. */
function findPlace(root: MapNode, shape: SectionShape, variable: string): Place {
  const path: Step[] = [];
  const ignore = (message: string): Place => ({ path, refusal: { severity: 'warning', key: '', message } });
  if (variable === `${prefix}VERSION`) return ignore('is ignored: the version cannot be set by a variable');
  let node: ConfigNode | undefined = root;
  let at: Shape = shape;
  for (const segment of variable.slice(prefix.length).split('_')) {
    if (at.kind === 'list' || (at.kind === 'any' && node?.kind === 'list')) {
      const items: ConfigNode[] = node?.kind === 'list' ? node.items : [];
      const index = /^\d+$/.test(segment) ? Number(segment) : Number.NaN;
      if (!(index <= items.length)) {
        const message = `must have an index from 0 to ${items.length} here: what comes behind the last entry adds one`;
        return { path, refusal: { severity: 'fault', key: path.join('.'), message } };
      }
      path.push(index);
      node = items[index];
      at = at.kind === 'list' ? at.item : at;
      continue;
    }
    const next = findKey(at, path, segment, node);
    if (next === undefined) return ignore(explainUnknown(variable, at, path, segment));
    path.push(next.key);
    node = node?.kind === 'map' ? node.entries.get(next.key) : undefined;
    at = next.shape;
  }
  return { path };
}

function findKey(
  at: Shape,
  path: readonly Step[],
  segment: string,
  node: ConfigNode | undefined,
): { key: string; shape: Shape } | undefined {
  if (segment === '') return undefined;
  const lower = segment.toLowerCase();
  if (at.kind === 'map') {
    // The key as the file spells it, so that a header is not there twice.
    const written =
      node?.kind === 'map' ? [...node.entries.keys()].find((key) => key.toLowerCase() === lower) : undefined;
    return { key: written ?? lower, shape: at.value };
  }
  const isField = (key: string) => fieldName(path, key) === segment;
  if (at.kind === 'any') return { key: renamedIn(path).find(isField) ?? lower, shape: anyShape };
  if (at.kind !== 'section') return undefined;
  const key = [...at.keys.keys(), ...unsupportedNamesIn(path.join('.'))].find(isField);
  if (key !== undefined) {
    const unsupported = findUnsupported([...path, key].join('.')) !== undefined;
    return { key, shape: unsupported ? anyShape : (at.keys.get(key) ?? anyShape) };
  }
  // Every other name in this section is a storage driver.
  return path.join('.') === 'storage' ? { key: lower, shape: anyShape } : undefined;
}

function pattern(path: readonly Step[], key: string): string {
  return [...path, key].map((step) => (/^\d+$/.test(String(step)) ? '*' : step)).join('.');
}

function fieldName(path: readonly Step[], key: string): string {
  return fieldNames[pattern(path, key)] ?? key.toUpperCase();
}

/** The keys directly below a path whose variables are not named like them. */
function renamedIn(path: readonly Step[]): string[] {
  const keys = Object.keys(fieldNames).map((renamed) => renamed.slice(renamed.lastIndexOf('.') + 1));
  return keys.filter((key) => Object.hasOwn(fieldNames, pattern(path, key)));
}

function explainUnknown(variable: string, at: Shape, path: readonly Step[], segment: string): string {
  if (at.kind !== 'section') return `is not known: ${path.join('.')} holds nothing further`;
  const keys = [...at.keys.keys(), ...unsupportedNamesIn(path.join('.'))];
  const key = keys.find((key) => key.toUpperCase() === segment.toUpperCase()) ?? suggest(segment, keys);
  if (key === undefined) return 'is not known and is ignored';
  const before = variable.split('_').slice(0, path.length + 1);
  return `is not known and is ignored; did you mean ${[...before, fieldName(path, key)].join('_')}?`;
}

/** Replaces what is at the path; what is missing on the way there, or in its way, is made new. */
function putNode(root: MapNode, path: readonly Step[], value: ConfigNode): void {
  let parent: ConfigNode = root;
  path.forEach((step, index) => {
    const next = path[index + 1];
    const existing = parent.kind === 'map' ? parent.entries.get(String(step)) : undefined;
    const listed = parent.kind === 'list' ? parent.items[Number(step)] : undefined;
    const child = next === undefined ? value : container(existing ?? listed, next, value.source);
    if (parent.kind === 'map') parent.entries.set(String(step), child);
    if (parent.kind === 'list') parent.items[Number(step)] = child;
    parent = child;
  });
}

function container(existing: ConfigNode | undefined, step: Step, source: string): ConfigNode {
  if (existing?.kind === (typeof step === 'number' ? 'list' : 'map')) return existing;
  return typeof step === 'number' ? { kind: 'list', items: [], source } : emptyMap(source);
}

/** Lexical as in distribution, where that shows: a name before its extensions. But `_2` before `_10`, so that lists grow. */
function compareNames(a: string, b: string): number {
  const left = a.split('_');
  const right = b.split('_');
  for (const [index, segment] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    if (segment === other) continue;
    const numbers = /^\d+$/.test(segment) && /^\d+$/.test(other);
    return (numbers ? Number(segment) < Number(other) : segment < other) ? -1 : 1;
  }
  return left.length === right.length ? 0 : -1;
}
