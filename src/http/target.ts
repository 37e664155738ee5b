/** A path below `/v2/`, told apart from the right, as a repository name may itself have components like `manifests`. */
export type Target =
  | { readonly kind: 'base' }
  | { readonly kind: 'catalog' }
  | { readonly kind: 'uploads'; readonly name: string }
  | { readonly kind: 'upload'; readonly name: string; readonly id: string }
  | { readonly kind: 'blob'; readonly name: string; readonly digest: string }
  | { readonly kind: 'manifest'; readonly name: string; readonly reference: string }
  | { readonly kind: 'tags'; readonly name: string }
  | { readonly kind: 'referrers'; readonly name: string; readonly digest: string };

/**
 * What a path asks for.
 *
 * @param path percent-encoded, without query, as it follows `/v2`
 * @returns undefined when there is no such route
 */
export function parseTarget(path: string): Target | undefined {
  if (path === '' || path === '/') return { kind: 'base' };
  const decoded = decode(path);
  if (decoded === undefined) return undefined;
  if (decoded === '/_catalog') return { kind: 'catalog' };

  const segments = decoded.slice(1).split('/');
  const last = segments.pop() ?? '';
  const verb = segments.pop() ?? '';
  const before = segments.at(-1);
  const name = segments.join('/');
  // `…/blobs/uploads/`, `…/blobs/uploads` and `…/blobs/uploads/<id>`
  if (verb === 'uploads' && before === 'blobs' && segments.length > 1) {
    const repository = segments.slice(0, -1).join('/');
    return last === '' ? { kind: 'uploads', name: repository } : { kind: 'upload', name: repository, id: last };
  }
  if (name === '' || last === '') return undefined;
  if (verb === 'blobs') return last === 'uploads' ? { kind: 'uploads', name } : { kind: 'blob', name, digest: last };
  if (verb === 'manifests') return { kind: 'manifest', name, reference: last };
  if (verb === 'tags' && last === 'list') return { kind: 'tags', name };
  if (verb === 'referrers') return { kind: 'referrers', name, digest: last };
  return undefined;
}

function decode(path: string): string | undefined {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
