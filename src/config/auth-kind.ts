import type { Finding } from './finding.ts';
import { emptyMap, isNull, type MapNode } from './node.ts';
import { suggest } from './suggest.ts';

/**
 * What would let everybody in against the operator's will: a kind of access control that berth does not have is a fault, and
 * one without keys (`auth: htpasswd`) is a section that lacks them.
 *
 * @param root is changed
 * @param known the kinds there are
 */
export function settleAuth(root: MapNode, known: readonly string[]): { faults: Finding[]; warnings: Finding[] } {
  const auth = root.entries.get('auth');
  const faults: Finding[] = [];
  if (auth !== undefined && (isNull(auth) || (auth.kind === 'map' && auth.entries.size === 0))) {
    const message = 'is empty, so that everybody may do everything; say auth: {none: {}} if that is meant';
    const finding = { source: auth.source, key: 'auth', message };
    // A variable that nobody has set takes away what the file says; an empty section in the file takes nothing away.
    return auth.source.startsWith('REGISTRY_') ? { faults: [finding], warnings: [] } : { faults, warnings: [finding] };
  }
  if (auth?.kind !== 'map') return { faults, warnings: [] };
  for (const [name, node] of auth.entries) {
    if (!known.includes(name)) {
      const meant = suggest(name, known);
      const hint = meant === undefined ? `they are ${known.join(', ')}` : `did you mean auth.${meant}?`;
      faults.push({
        source: node.source,
        key: `auth.${name}`,
        message: `is no kind of access control of berth; ${hint}`,
      });
    } else if (isNull(node) && name !== 'none') auth.entries.set(name, emptyMap(node.source));
  }
  return { faults, warnings: [] };
}
