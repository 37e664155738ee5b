import type { RepositoryName } from '../oci/name.ts';

/** What a request wants to do, in the words of token scopes. */
export type Action = 'pull' | 'push' | 'delete';

/** Something to which access is granted. */
export type Access = RepositoryAccess | RegistryAccess;

export interface RepositoryAccess {
  readonly type: 'repository';
  readonly name: RepositoryName;
  readonly actions: readonly Action[];
}

/** Listing repositories, of which the caller is then shown those that it may pull from. */
export interface RegistryAccess {
  readonly type: 'registry';
  readonly name: 'catalog' | 'search';
  readonly actions: readonly ['*'];
}

/** Who makes the request and what it may do. Answers without I/O. */
export interface Authorized {
  /** The user's name; empty when anonymous. */
  readonly subject: string;
  /** Whether the same request may also have this access: for mounts, which read from another repository. */
  allows(access: RepositoryAccess): boolean;
  /** Whether the caller may know that the repository exists: for lists, which show only what may be pulled. */
  sees(name: RepositoryName): boolean;
}

/** What an access controller may look at. */
export interface AccessRequest {
  /** The `Authorization` header. */
  readonly authorization: string | undefined;
  /** Scheme and host under which the client reached us, e.g. `https://registry.example:5000`. */
  readonly origin: string;
  /** Address of the peer; empty when it has none. */
  readonly remoteAddress: string;
  /** What the client proved with TLS; undefined: nothing. */
  readonly certificate: ClientCertificate | undefined;
}

/** A certificate that one of `http.tls.clientcas` has signed. */
export interface ClientCertificate {
  readonly commonName: string | undefined;
  readonly dnsNames: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
}

/** Decides on every request, in one place. */
export interface AccessController {
  /**
   * @param access all of it is needed; nothing: the caller only has to be somebody who may be here at all
   * @param helpful what a client that is sent for a token had better ask for too: pulling from where it wants to mount
   * @throws RegistryError UNAUTHORIZED (with a `WWW-Authenticate` header), DENIED or TOOMANYREQUESTS
   */
  authorize(request: AccessRequest, access: readonly Access[], helpful?: readonly Access[]): Promise<Authorized>;
}

const everybody: Authorized = { subject: '', allows: () => true, sees: () => true };

/** Everybody may do everything: a registry without an `auth` section. */
export const openAccess: AccessController = { authorize: async () => everybody };
