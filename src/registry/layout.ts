import { algorithmOf, type Digest, encodedOf } from '../oci/digest.ts';
import type { RepositoryName, Tag } from '../oci/name.ts';

/**
 * Where everything is kept: the layout of CNCF distribution, versions 2 and 3, so that the same volume or bucket
 * serves both. What is drawn under `_berth` is ours; distribution skips it, and it can be rebuilt from the rest.
 *
 *     /docker/registry/v2
 *       blobs/<algorithm>/<first two hex digits>/<hex>/data      content of a blob or a manifest
 *       repositories/<name>/
 *         _layers/<algorithm>/<hex>/link                         the repository has this blob
 *         _manifests/
 *           revisions/<algorithm>/<hex>/link                     the repository has this manifest
 *           tags/<tag>/
 *             current/link                                       the manifest that the tag points to
 *             index/<algorithm>/<hex>/link                       every manifest that it ever pointed to
 *         _uploads/<id>/
 *           data                                                 bytes received so far
 *           startedat                                            RFC 3339, UTC, whole seconds
 *         _berth/referrers/
 *           scanned                                              RFC 3339: manifests that are older were all looked at
 *           subjects/<algorithm>/<hex>/<algorithm>/<hex>/link    the second manifest refers to the first one
 *
 * A `link` holds a digest, `<algorithm>:<hex>`, without a newline. It may differ from its path: distribution keeps
 * content under its sha256 digest, and the link of another digest leads there. Both are followed here; what berth
 * writes is kept under the digest it was pushed with.
 */
const root = '/docker/registry/v2';
const repositories = `${root}/repositories`;

function split(digest: Digest): string {
  return `${algorithmOf(digest)}/${encodedOf(digest)}`;
}

export const layout = {
  repositories,

  blobData(digest: Digest): string {
    const encoded = encodedOf(digest);
    return `${root}/blobs/${algorithmOf(digest)}/${encoded.slice(0, 2)}/${encoded}/data`;
  },

  repository: (name: string) => `${repositories}/${name}`,
  layers: (name: RepositoryName) => `${repositories}/${name}/_layers`,
  layer: (name: RepositoryName, digest: Digest) => `${repositories}/${name}/_layers/${split(digest)}`,
  manifests: (name: RepositoryName) => `${repositories}/${name}/_manifests`,
  /** All, or those of one algorithm. */
  revisions: (name: RepositoryName, algorithm?: string) =>
    `${repositories}/${name}/_manifests/revisions${algorithm === undefined ? '' : `/${algorithm}`}`,
  revision: (name: RepositoryName, digest: Digest) => `${repositories}/${name}/_manifests/revisions/${split(digest)}`,
  tags: (name: RepositoryName) => `${repositories}/${name}/_manifests/tags`,
  tag: (name: RepositoryName, tag: Tag) => `${repositories}/${name}/_manifests/tags/${tag}`,
  tagCurrent: (name: RepositoryName, tag: Tag) => `${repositories}/${name}/_manifests/tags/${tag}/current`,
  tagIndex: (name: RepositoryName, tag: Tag, digest: Digest) =>
    `${repositories}/${name}/_manifests/tags/${tag}/index/${split(digest)}`,
  uploads: (name: RepositoryName) => `${repositories}/${name}/_uploads`,
  upload: (name: RepositoryName, id: string) => `${repositories}/${name}/_uploads/${id}`,
  uploadData: (name: RepositoryName, id: string) => `${repositories}/${name}/_uploads/${id}/data`,
  uploadStartedAt: (name: RepositoryName, id: string) => `${repositories}/${name}/_uploads/${id}/startedat`,
  referrersScanned: (name: RepositoryName) => `${repositories}/${name}/_berth/referrers/scanned`,
  referrers: (name: RepositoryName, subject: Digest) =>
    `${repositories}/${name}/_berth/referrers/subjects/${split(subject)}`,
  referrer: (name: RepositoryName, subject: Digest, digest: Digest) =>
    `${repositories}/${name}/_berth/referrers/subjects/${split(subject)}/${split(digest)}`,
};
