import type { RepositoryName } from '../oci/name.ts';

/** What a request wants to do, in the words of token scopes. */
export type Action = 'pull' | 'push' | 'delete';

/** Something to which access is granted. */
export type Access =
  | { readonly type: 'repository'; readonly name: RepositoryName; readonly actions: readonly Action[] }
  | { readonly type: 'registry'; readonly name: 'catalog'; readonly actions: readonly ['*'] };

/** Who makes the request and what it may do. Answers without I/O. */
export interface Authorized {
  /** The user's name; empty when anonymous. */
  readonly subject: string;
  /** Whether the same caller may also have this access: for lists and mounts that show only what may be read. */
  allows(access: Access): boolean;
}

/** What an access controller may look at. */
export interface AccessRequest {
  /** The `Authorization` header. */
  readonly authorization: string | undefined;
  /** Scheme and host under which the client reached us, e.g. `https://registry.example:5000`. */
  readonly origin: string;
}

/** Decides on every request, in one place. */
export interface AccessController {
  /** @throws RegistryError UNAUTHORIZED (with a `WWW-Authenticate` header) or DENIED */
  authorize(request: AccessRequest, access: readonly Access[]): Promise<Authorized>;
}

const everybody: Authorized = { subject: '', allows: () => true };

/** Everybody may do everything: a registry without an `auth` section. */
export const openAccess: AccessController = { authorize: async () => everybody };
