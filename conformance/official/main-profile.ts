import { randomUUID } from 'node:crypto';
import type { LoginKind } from '../auth/login-registry.ts';
import type { Profile } from './official.ts';

/**
 * @param version `1.1` asks for what the released specification says, `dev` for what its main branch adds. Everything
 *   is on in both but `OCI_DATA_SPARSE`: manifests whose parts were never pushed, which a registry need not take.
 */
export const mainProfile = (version: string, login?: LoginKind): Profile => ({
  name: version,
  ...(login && { login }),
  environment: ({ host, protocol }, reports) => ({
    OCI_VERSION: version,
    OCI_REGISTRY: host,
    OCI_TLS: protocol === 'https:' ? 'insecure' : 'disabled',
    OCI_REPO1: `conformance/${randomUUID()}`,
    OCI_REPO2: `conformance/${randomUUID()}`,
    OCI_RESULTS_DIR: reports,
  }),
});
