import type { Finding } from './finding.ts';
import { type ConfigNode, isNull, type ScalarNode, toFlag, toNumber, toPlain } from './node.ts';
import type { Shape } from './shape.ts';
import { suggest } from './suggest.ts';
import { findUnsupported, isActive, unsupportedNamesIn } from './unsupported.ts';

/** What {@link readInput} has to say beside its result. */
export interface InputNotes {
  readonly faults: Finding[];
  readonly warnings: Finding[];
  /** Dotted path of every key that is given → its source. */
  readonly origins: Map<string, string>;
}

/**
 * Turns the tree into what the schema takes: each scalar read as the type of its key wants it (as Go unmarshals into the
 * type of the field), keys without a value left out. Reports keys that are not known or not supported. What does not fit
 * the shape is handed on as it is, for the schema to refuse.
 */
export function readInput(node: ConfigNode, shape: Shape, path: string, notes: InputNotes): unknown {
  if (shape.kind === 'section' && node.kind === 'map') {
    const known: [string, unknown][] = [];
    for (const [key, child] of node.entries) {
      const below = path === '' ? key : `${path}.${key}`;
      const childShape = shape.keys.get(key);
      if (noteUnsupported(below, child, notes)) continue;
      if (childShape === undefined) {
        const list = isStrict(path) ? notes.faults : notes.warnings;
        list.push(unknownKey(below, key, child, shape.keys.keys(), path));
      } else if (isStrict(path) && isUnset(child, childShape)) {
        const message = 'has no value; give it one, or take it out if the default is meant';
        notes.faults.push({ source: child.source, key: below, message });
      } else if (!isUnset(child, childShape)) known.push([key, readInput(child, childShape, below, notes)]);
    }
    return Object.fromEntries(known);
  }
  if (shape.kind !== 'section' && !isEmptyList(node)) notes.origins.set(path, node.source);
  if (shape.kind === 'map' && node.kind === 'map') {
    const given = [...node.entries].filter(([, child]) => !isNull(child));
    return Object.fromEntries(
      given.map(([key, child]) => [key, readInput(child, shape.value, `${path}.${key}`, notes)]),
    );
  }
  if (shape.kind === 'list' && node.kind !== 'map') {
    // A single value stands for a list of one.
    const items = node.kind === 'list' ? node.items : [node];
    return items.map((item, index) => readInput(item, shape.item, `${path}.${index}`, notes));
  }
  return node.kind === 'scalar' ? readScalar(node, shape) : toPlain(node);
}

function readScalar(node: ScalarNode, shape: Shape): unknown {
  if (shape.kind === 'text') return isNull(node) ? '' : node.text;
  if (shape.kind === 'flag') return toFlag(node) ?? node.text;
  if (shape.kind === 'number') return toNumber(node) ?? node.text;
  return toPlain(node);
}

/** As for Go, where an empty text is the value of a field that is not set. */
function isUnset(node: ConfigNode, shape: Shape): boolean {
  return isNull(node) || (shape.kind === 'text' && node.kind === 'scalar' && node.text === '');
}

/** Where a slip would let in others than meant: a rule without its repositories is one for all of them. */
function isStrict(path: string): boolean {
  return path === 'auth.builtin' || path.startsWith('auth.builtin.');
}

function noteUnsupported(path: string, node: ConfigNode, notes: InputNotes): boolean {
  const unsupported = findUnsupported(path);
  if (unsupported === undefined) return false;
  if (isActive(unsupported, node)) {
    const list = unsupported.severity === 'fault' ? notes.faults : notes.warnings;
    list.push({ source: node.source, key: path, message: unsupported.message });
  }
  return true;
}

function unknownKey(
  path: string,
  key: string,
  { source }: ConfigNode,
  known: Iterable<string>,
  section: string,
): Finding {
  const meant = suggest(key, [...known, ...unsupportedNamesIn(section)]);
  const hint = meant === undefined ? '' : `; did you mean ${section === '' ? meant : `${section}.${meant}`}?`;
  return { source, key: path, message: `is not known${isStrict(section) ? '' : ' and is ignored'}${hint}` };
}

/** A list without entries gives nothing. */
function isEmptyList(node: ConfigNode): boolean {
  return node.kind === 'list' && node.items.length === 0;
}
