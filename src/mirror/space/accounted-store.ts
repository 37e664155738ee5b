import type { Descriptor } from '../../oci/descriptor.ts';
import { digestOf } from '../../oci/digest.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Link } from './records.ts';
import type { Room } from './room.ts';

export interface Account {
  readonly room: Room;
  /** Told of content that was put there, before whoever put it. */
  readonly onStore: (descriptor: Descriptor, link: Link) => Promise<void>;
  /** Told of content that was there already and that one more repository has now. */
  readonly onLink: (descriptor: Descriptor, link: Link) => void;
}

/** A store that takes content when there is room for it, and keeps account of it. */
export function createAccountedStore(store: Registry, { room, onStore, onLink }: Account): Registry {
  return {
    ...store,
    repository: (repository, namespace) => {
      const inner = store.repository(repository, namespace);
      return {
        ...inner,
        uploads: {
          ...inner.uploads,
          put: (digest, body) =>
            room.land(digest, room.sizeOf(digest) ?? 0, async () => {
              const descriptor = await inner.uploads.put(digest, body);
              await onStore(descriptor, { kind: 'blob', repository });
              return descriptor;
            }),
        },
        blobs: {
          ...inner.blobs,
          adopt: async (digest, prove) => {
            const descriptor = await inner.blobs.adopt(digest, prove);
            if (descriptor !== undefined) onLink(descriptor, { kind: 'blob', repository });
            return descriptor;
          },
        },
        manifests: {
          ...inner.manifests,
          put: (reference, content, options) =>
            room.land(digestOf(content), content.length, async () => {
              const result = await inner.manifests.put(reference, content, options);
              await onStore(result.descriptor, { kind: 'manifest', repository });
              return result;
            }),
        },
      };
    },
  };
}
