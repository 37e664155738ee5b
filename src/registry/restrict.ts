import { RegistryError } from '../oci/errors.ts';
import type { Registry, Repository } from './registry.ts';

export interface Restrictions {
  /** `storage.delete.enabled`: without it, nothing that was pushed can be deleted. */
  delete: boolean;
  /** `storage.maintenance.readonly.enabled`: nothing can be pushed or deleted. */
  readOnly: boolean;
  /** Why, for clients. Default: that it is read-only for maintenance, or that deletion is not enabled. */
  reason?: string;
}

/** The one gate for everything that deletes, and for everything that writes: a decorator of any registry. */
export function restrict(registry: Registry, restrictions: Restrictions): Registry {
  if (restrictions.delete && !restrictions.readOnly) return registry;

  const { readOnly } = restrictions;
  const { reason = readOnly ? 'the registry is read-only for maintenance' : 'deletion is not enabled' } = restrictions;
  const refuseNow = (): never => {
    throw new RegistryError('UNSUPPORTED', { message: reason });
  };
  const refuse = async (): Promise<never> => refuseNow();

  function restricted(inner: Repository): Repository {
    const { blobs, manifests, tags, uploads } = inner;
    return {
      ...inner,
      blobs: { ...blobs, delete: refuse, ...(readOnly && { mount: refuse, adopt: refuse }) },
      manifests: { ...manifests, delete: refuse, ...(readOnly && { put: refuse }) },
      tags: { ...tags, delete: refuse },
      uploads: readOnly ? { create: refuse, find: refuseNow, put: refuse } : uploads,
    };
  }

  return { ...registry, repository: (name, namespace) => restricted(registry.repository(name, namespace)) };
}
