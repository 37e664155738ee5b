import { type ConfigNode, isNull, type MapNode, type ScalarNode } from './node.ts';

/** A key (with everything below it) that distribution knows and berth does not act on. */
export interface UnsupportedKey {
  /** Dotted. */
  readonly path: string;
  /** A fault where the registry would otherwise do what its operator has ruled out; else a warning. */
  readonly severity: 'fault' | 'warning';
  /** Goes on after the key. */
  readonly message: string;
  /** Whether what is written would have an effect in distribution. Default: anything but nothing and `false`. */
  readonly active?: (node: ConfigNode) => boolean;
}

/** All of them. Whoever builds one takes its line out and describes the key in the schema. */
export const unsupportedKeys: readonly UnsupportedKey[] = [
  {
    path: 'auth.silly',
    severity: 'fault',
    message: 'is not supported: it keeps nobody out. Use auth.htpasswd, auth.token or auth.builtin',
    active: () => true,
  },
  {
    path: 'middleware',
    severity: 'fault',
    message: 'is not supported: content would go other ways than you have laid down. Take the section out',
    active: (node) => node.kind === 'map' && [...node.entries.values()].some(hasEnabledItem),
  },
  {
    path: 'http.tls.letsencrypt',
    severity: 'fault',
    message:
      'is not supported: berth would speak without TLS. Get the certificate with an ACME client and name it in http.tls.certificate and http.tls.key',
    active: (node) => isSet(child(node, 'cachefile')),
  },
  {
    path: 'loglevel',
    severity: 'warning',
    message: 'is deprecated and is taken for log.level, unless that is given; use log.level',
  },
  { path: 'log.hooks', severity: 'warning', message: 'is not supported: no mail is sent' },
  { path: 'log.reportcaller', severity: 'warning', message: 'is not supported: lines do not name the code' },
  { path: 'storage.cache', severity: 'warning', message: 'is not needed: berth keeps no cache that wants a setting' },
  { path: 'redis', severity: 'warning', message: 'is not needed: berth keeps nothing in Redis' },
  { path: 'policy', severity: 'warning', message: 'is not supported: repositories have no classes' },
  {
    path: 'validation.enabled',
    severity: 'warning',
    message: 'is deprecated and without effect; use validation.disabled',
  },
  { path: 'reporting', severity: 'warning', message: 'is not supported: no service is told of errors' },
  { path: 'compatibility', severity: 'warning', message: 'is not supported: schema 1 manifests are refused' },
];

const byPath = new Map(unsupportedKeys.map((key) => [key.path, key]));

export function findUnsupported(path: string): UnsupportedKey | undefined {
  return byPath.get(path);
}

/** The names of such keys directly in a section; the top has the path ''. */
export function unsupportedNamesIn(section: string): string[] {
  const before = section === '' ? '' : `${section}.`;
  const below = unsupportedKeys
    .filter(({ path }) => path.startsWith(before))
    .map(({ path }) => path.slice(before.length));
  return below.filter((name) => !name.includes('.'));
}

/** Whether what is written there would do anything in distribution. */
export function isActive(key: UnsupportedKey, node: ConfigNode): boolean {
  return (key.active ?? isSet)(node);
}

function isSet(node: ConfigNode | undefined): boolean {
  if (node === undefined || isNull(node)) return false;
  if (node.kind === 'map') return [...node.entries.values()].some(isSet);
  if (node.kind === 'list') return node.items.some(isSet);
  return node.text !== '' && !isFalse(node);
}

/** Lists of things that each may be `disabled`; from the environment alone, a list is a map of numbers. */
function hasEnabledItem(list: ConfigNode | undefined): boolean {
  if (list === undefined || list.kind === 'scalar') return false;
  const items = list.kind === 'list' ? list.items : [...list.entries.values()];
  return items.some((item) => isSet(item) && !isSet(child(item, 'disabled')));
}

function child(node: ConfigNode | undefined, key: string): ConfigNode | undefined {
  return node?.kind === 'map' ? (node satisfies MapNode).entries.get(key) : undefined;
}

function isFalse(node: ScalarNode): boolean {
  return /^(?:false|no|off)$/i.test(node.text);
}
