/**
 * The configuration before it is interpreted: a tree of which every part still knows where it was written, file and
 * environment alike. Scalars keep their spelling, because only the type of the key decides what `0123` or `off` is.
 */
export type ConfigNode = ScalarNode | ListNode | MapNode;

export interface ScalarNode {
  readonly kind: 'scalar';
  /** Without quotes, escapes resolved. */
  readonly text: string;
  /** False when it was quoted (or a block), and so is a text whatever it looks like. */
  readonly plain: boolean;
  /** As `Finding.source`. */
  readonly source: string;
}

export interface ListNode {
  readonly kind: 'list';
  readonly items: ConfigNode[];
  readonly source: string;
}

export interface MapNode {
  readonly kind: 'map';
  readonly entries: Map<string, ConfigNode>;
  readonly source: string;
}

export function emptyMap(source: string): MapNode {
  return { kind: 'map', entries: new Map(), source };
}

export function isNull(node: ConfigNode | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.plain && /^(?:|~|null|Null|NULL)$/.test(node.text));
}

/** A boolean in any spelling of YAML 1.1, which Go reads; quoted ones are taken as meant. */
export function toFlag(node: ScalarNode): boolean | undefined {
  if (/^(?:true|yes|on|y)$/i.test(node.text)) return true;
  if (/^(?:false|no|off|n)$/i.test(node.text)) return false;
  return undefined;
}

/** A number in decimal or hexadecimal; a leading zero would be octal for Go and is left alone. */
export function toNumber(node: ScalarNode): number | undefined {
  const text = node.text.replaceAll('_', '');
  const number = /^[-+]?(?:0x[0-9a-f]+|(?:0|[1-9]\d*)(?:\.\d+)?(?:e[-+]?\d+)?)$/i.test(text)
    ? Number(text)
    : Number.NaN;
  return Number.isFinite(number) ? number : undefined;
}

/**
 * The plain value of a part that no type describes, such as the parameters of a storage driver. A number that would not
 * print as it was written stays a text: a bucket called `0123` or a key `1e3` must arrive unchanged.
 *
 * @param isText says of which keys the value is a text, whatever it looks like (below them too)
 */
export function toPlain(node: ConfigNode, isText: (key: string) => boolean = () => false, inText = false): unknown {
  if (node.kind === 'list') return node.items.map((item) => toPlain(item, isText, inText));
  if (node.kind === 'map') {
    const entries = [...node.entries].filter(([, child]) => !isNull(child));
    return Object.fromEntries(entries.map(([key, child]) => [key, toPlain(child, isText, inText || isText(key))]));
  }
  if (isNull(node)) return null;
  if (inText || !node.plain) return node.text;
  const number = toNumber(node);
  if (number !== undefined) return String(number) === node.text ? number : node.text;
  // A single letter is rather a name than an answer.
  return node.text.length === 1 ? node.text : (toFlag(node) ?? node.text);
}

/** The node at a path, or the last one on the way to it. */
export function nearestNode(root: ConfigNode, path: readonly PropertyKey[]): { node: ConfigNode; whole: boolean } {
  let node = root;
  for (const segment of path) {
    const child =
      node.kind === 'map'
        ? node.entries.get(String(segment))
        : node.kind === 'list'
          ? node.items[Number(segment)]
          : undefined;
    if (child === undefined) return { node, whole: false };
    node = child;
  }
  return { node, whole: true };
}
