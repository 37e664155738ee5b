import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLMap,
} from 'yaml';
import type { Finding } from './finding.ts';
import { type ConfigNode, emptyMap, type MapNode } from './node.ts';

/** Names a place of a text; the column only where the line does not say enough. */
export type Locate = (line: number, column?: number) => string;

export function inFile(path: string): Locate {
  return (line, column) => (column === undefined ? `${path}:${line}` : `${path}:${line}:${column}`);
}

export function inVariable(name: string): Locate {
  return () => name;
}

/**
 * Reads YAML as distribution does (one document, anchors, merge keys), without interpreting scalars.
 *
 * @param key what the findings are about; empty for a file
 * @returns the findings instead of a node when it is not YAML
 */
export function readYaml(text: string, locate: Locate, key = ''): { node: ConfigNode } | { faults: Finding[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    schema: 'failsafe',
    prettyErrors: false, // they quote the text, which may hold secrets
    lineCounter: lines,
  });
  const at = (offset: number): [number, number] => {
    const { line, col } = lines.linePos(offset);
    return [line, col];
  };
  const fault = (offset: number, message: string): Finding => ({ source: locate(...at(offset)), key, message });
  if (document.errors.length > 0) {
    return { faults: document.errors.map((error) => fault(error.pos[0], `is not YAML: ${explain(error.code)}`)) };
  }
  const reader = new TreeReader(document, (offset) => locate(at(offset)[0]), fault);
  const node = reader.read(document.contents, locate(1));
  return reader.faults.length > 0 ? { faults: reader.faults } : { node };
}

class TreeReader {
  readonly faults: Finding[] = [];
  readonly #document: Document;
  readonly #source: (offset: number) => string;
  readonly #fault: (offset: number, message: string) => Finding;
  /** The collections around the one that is read: an alias to one of them would never end. */
  readonly #open = new Set<Node>();

  constructor(
    document: Document,
    source: (offset: number) => string,
    fault: (offset: number, message: string) => Finding,
  ) {
    this.#document = document;
    this.#source = source;
    this.#fault = fault;
  }

  read(node: Node | null, source: string): ConfigNode {
    const nothing: ConfigNode = { kind: 'scalar', text: '', plain: true, source };
    if (node === null) return nothing;
    const offset = node.range?.[0] ?? 0;
    if (isAlias(node)) {
      const target = node.resolve(this.#document);
      if (target !== undefined && !this.#open.has(target)) return this.read(target, source);
      this.faults.push(this.#fault(offset, 'is not YAML: an alias (*) names no anchor (&) above it'));
      return nothing;
    }
    if (isScalar(node)) {
      const plain = node.type === 'PLAIN' && node.tag !== 'tag:yaml.org,2002:str';
      return { kind: 'scalar', text: String(node.value ?? ''), plain, source };
    }
    this.#open.add(node);
    const tree: ConfigNode = isMap(node)
      ? this.#readMap(node, source)
      : { kind: 'list', items: isSeq(node) ? node.items.map((item) => this.#readItem(item)) : [], source };
    this.#open.delete(node);
    return tree;
  }

  #readItem(item: unknown): ConfigNode {
    const node = item as Node;
    return this.read(node, this.#source(node.range?.[0] ?? 0));
  }

  #readMap(map: YAMLMap, source: string): MapNode {
    const tree = emptyMap(source);
    const merged: ConfigNode[] = [];
    for (const { key, value } of map.items) {
      const offset = (key as Node).range?.[0] ?? 0;
      if (!isScalar(key)) {
        this.faults.push(this.#fault(offset, 'is not a configuration: a key must be a single word'));
        continue;
      }
      // What belongs to a key is found at the key, also where its value starts lines below.
      const child = this.read(value as Node | null, this.#source(offset));
      if (String(key.value) !== '<<') tree.entries.set(String(key.value), child);
      else merged.push(...(child.kind === 'list' ? child.items : [child]));
    }
    // https://yaml.org/type/merge.html: the map's own keys win, then the earlier of several maps.
    for (const other of merged) {
      if (other.kind !== 'map') continue;
      for (const [name, child] of other.entries) if (!tree.entries.has(name)) tree.entries.set(name, child);
    }
    return tree;
  }
}

const explanations: Readonly<Record<string, string>> = {
  BAD_ALIAS: 'a * begins an alias; quote the value, as in \'["*"]\'',
  BAD_DQ_ESCAPE: 'unknown escape in a double-quoted text; use single quotes or double the backslash',
  BAD_INDENT: 'the indentation does not fit what is around it',
  BAD_SCALAR_START: 'a value cannot start with @ or `; quote it',
  BLOCK_AS_IMPLICIT_KEY: 'a colon and a space inside a value; quote it',
  DUPLICATE_KEY: 'the key is given twice',
  MISSING_CHAR: 'a quote, bracket, comma or colon is missing',
  MULTIPLE_DOCS: 'more than one document; take out the second ---',
  TAB_AS_INDENT: 'tabs cannot indent; use spaces',
};

/** In our own words: the parser's quote the text, which may hold secrets. */
function explain(code: string): string {
  return explanations[code] ?? `it is malformed here (${code})`;
}
