/** Media types of manifests that the registry looks into. Every other one is opaque to it. */
export const mediaTypes = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociArtifact: 'application/vnd.oci.artifact.manifest.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const;

/** All of these, for who takes any: what a client does not understand it does not get through a mirror either. */
export const manifestTypes: readonly string[] = Object.values(mediaTypes);

/** What a manifest of that type holds. */
export type ManifestKind = 'image' | 'index' | 'artifact';

const kinds = new Map<string, ManifestKind>([
  [mediaTypes.ociManifest, 'image'],
  [mediaTypes.dockerManifest, 'image'],
  [mediaTypes.ociIndex, 'index'],
  [mediaTypes.dockerList, 'index'],
  [mediaTypes.ociArtifact, 'artifact'],
]);

/** Undefined for types that are opaque to the registry. */
export function kindOf(mediaType: string): ManifestKind | undefined {
  return kinds.get(mediaType);
}

/** Schema 1 manifests, signed or not: no client makes them any more, and no server takes them. */
export function isSchema1(mediaType: string): boolean {
  return /^application\/vnd\.docker\.distribution\.manifest\.v1\+(?:json|prettyjws)$/.test(mediaType);
}

/** Layers that may be kept elsewhere: image-spec, "Non-Distributable Layers", and Docker's foreign layers. */
export function isNonDistributable(mediaType: string): boolean {
  return (
    mediaType.startsWith('application/vnd.oci.image.layer.nondistributable.v1.tar') ||
    mediaType === 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' ||
    mediaType === 'application/vnd.docker.image.rootfs.foreign.diff.tar'
  );
}

/** The grammar of RFC 6838, 4.2. A stored type goes into a header, so nothing else may pass. */
const grammar = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

export function isMediaType(text: string): boolean {
  return grammar.test(text);
}

/** The type of a `Content-Type` header without its parameters, in lower case; undefined when there is none. */
export function withoutParameters(header: string | undefined): string | undefined {
  const type = header?.split(';', 1)[0]?.trim().toLowerCase();
  return type === '' ? undefined : type;
}
