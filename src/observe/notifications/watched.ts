import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { isDigest, type Reference } from '../../oci/reference.ts';
import type { Mirroring, Repository } from '../../registry/registry.ts';
import type { Event } from './event.ts';

/** What was done, and to what. */
export interface Deed {
  readonly action: Event['action'];
  readonly kind: 'blob' | 'manifest';
  /** Of what is gone, its digest alone, or its tag. */
  readonly descriptor?: Descriptor | { readonly digest: Digest };
  readonly tag?: string;
  readonly from?: string;
  /** Of a manifest. */
  readonly content?: Buffer;
  readonly mirroring?: Mirroring | undefined;
}

/**
 * A repository that tells what is done in it: a decorator of any. A pull is told when the answer is known, and not when the
 * client has all of it.
 */
export function watched(repository: Repository, tell: (deed: Deed) => void): Repository {
  const { name, blobs, uploads, manifests, tags } = repository;
  const tagOf = (reference: Reference) => (isDigest(reference) ? {} : { tag: reference });
  const pushed = (descriptor: Descriptor) => {
    tell({ action: 'push', kind: 'blob', descriptor });
    return descriptor;
  };
  return {
    ...repository,
    blobs: {
      ...blobs,
      async stat(digest, signal) {
        const descriptor = await blobs.stat(digest, signal);
        tell({ action: 'pull', kind: 'blob', descriptor });
        return descriptor;
      },
      async get(digest, signal) {
        const blob = await blobs.get(digest, signal);
        const { descriptor, mirroring } = blob;
        tell({ action: 'pull', kind: 'blob', descriptor, mirroring });
        return blob;
      },
      async mount(digest, from, readable) {
        const descriptor = await blobs.mount(digest, from, readable);
        if (descriptor !== undefined)
          tell({ action: 'mount', kind: 'blob', descriptor, ...(from !== undefined && from !== name && { from }) });
        return descriptor;
      },
      async delete(digest) {
        await blobs.delete(digest);
        tell({ action: 'delete', kind: 'blob', descriptor: { digest } });
      },
    },
    uploads: {
      ...uploads,
      put: async (digest, body) => pushed(await uploads.put(digest, body)),
      find(id) {
        const upload = uploads.find(id);
        return { ...upload, commit: async (...given) => pushed(await upload.commit(...given)) };
      },
    },
    manifests: {
      ...manifests,
      async get(reference, signal, isHead) {
        const manifest = await manifests.get(reference, signal, isHead);
        const { descriptor, content, mirroring } = manifest;
        tell({ action: 'pull', kind: 'manifest', descriptor, content, mirroring, ...tagOf(reference) });
        return manifest;
      },
      async put(reference, content, options) {
        const result = await manifests.put(reference, content, options);
        const { descriptor } = result;
        const told = { action: 'push', kind: 'manifest', descriptor, content } as const;
        const names = [...(isDigest(reference) ? [] : [reference]), ...(options.tags ?? [])];
        if (names.length === 0) tell(told);
        for (const tag of new Set(names)) tell({ ...told, tag });
        return result;
      },
      async delete(digest) {
        const gone = await manifests.delete(digest);
        tell({ action: 'delete', kind: 'manifest', descriptor: { digest } });
        for (const tag of gone) tell({ action: 'delete', kind: 'manifest', tag });
        return gone;
      },
    },
    tags: {
      ...tags,
      async delete(tag) {
        await tags.delete(tag);
        tell({ action: 'delete', kind: 'manifest', tag });
      },
    },
  };
}
