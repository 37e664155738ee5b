import type { Digest } from './digest.ts';

/** A content descriptor (image-spec, "OCI Content Descriptors"), as far as a registry looks into it. */
export interface Descriptor {
  mediaType: string;
  digest: Digest;
  /** In bytes. */
  size: number;
  artifactType?: string;
  annotations?: Readonly<Record<string, string>>;
  /** Places outside the registry that have the content; only for non-distributable layers. */
  urls?: readonly string[];
}

/** What a blob is called when nobody said better. */
export const octetStream = 'application/octet-stream';
