import { parseRepositoryName } from '../oci/name.ts';
import type { Registry, Repository } from '../registry/registry.ts';

/** The repository that a call names. @throws RegistryError NAME_INVALID */
export function repositoryOf({ registry, target }: { registry: Registry; target: { name: string } }): Repository {
  return registry.repository(parseRepositoryName(target.name));
}
