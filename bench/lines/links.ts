import type { StoredObject } from '../storage/storage.ts';

/** What CNCF distribution keeps of a tagged image in its repository: digests in small objects. Content is elsewhere. */
export function linksOf(repository: string, tag: string, manifest: string, config: string): StoredObject[] {
  const top = `/docker/registry/v2/repositories/${repository}`;
  const [layer, revision] = [config, manifest].map((digest) => digest.replace(':', '/'));
  return [
    { path: `${top}/_layers/${layer}/link`, content: config },
    { path: `${top}/_manifests/revisions/${revision}/link`, content: manifest },
    { path: `${top}/_manifests/tags/${tag}/index/${revision}/link`, content: manifest },
    { path: `${top}/_manifests/tags/${tag}/current/link`, content: manifest },
  ];
}
