import { type RepositoryName, tryParseRepositoryName } from '../oci/name.ts';

/** Docker Hub, as clients call it. */
export const dockerHub = 'docker.io';

/** How an upstream is named, in requests and in the storage. */
export interface Naming {
  /** `docker.io`: what clients call it (`?ns=`). */
  readonly name: string;
  /** Other names of the same: `index.docker.io`. */
  readonly aliases: readonly string[];
  /** Before the names of its repositories, in requests and in the storage; empty: they are as upstream. */
  readonly prefix: string;
  /** Whether a name without any prefix is one of its repositories, as a Docker daemon asks its `registry-mirrors`. */
  readonly isDefault: boolean;
}

/** A repository of an upstream. */
export interface Mirrored<Upstream> {
  readonly upstream: Upstream;
  /** As the upstream calls it: `library/alpine`. */
  readonly remote: RepositoryName;
  /** As it is kept here, and found in the catalogue: `docker.io/library/alpine`. */
  readonly local: RepositoryName;
}

/** Tells which upstream a repository is of. Names are keys into the list, and never something to dial. */
export class Names<Upstream extends Naming> {
  readonly #byNamespace = new Map<string, Upstream>();
  readonly #byPrefix = new Map<string, Upstream>();
  readonly #default: Upstream | undefined;

  constructor(upstreams: readonly Upstream[]) {
    for (const upstream of upstreams) {
      for (const name of [upstream.name, ...upstream.aliases]) this.#byNamespace.set(lowerCase(name), upstream);
      if (upstream.prefix !== '') this.#byPrefix.set(upstream.prefix, upstream);
    }
    this.#default = upstreams.find(({ isDefault }) => isDefault);
  }

  /** By the namespace that the client gives (`?ns=`); undefined when nobody here has that name. */
  ofNamespace(namespace: string, name: RepositoryName): Mirrored<Upstream> | undefined {
    return this.#of(this.#byNamespace.get(lowerCase(namespace)), name);
  }

  /** By the beginning of the name: `quay.io/team/app`. */
  ofPrefix(name: RepositoryName): Mirrored<Upstream> | undefined {
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
      const upstream = this.#byPrefix.get(name.slice(0, slash));
      const rest = tryParseRepositoryName(name.slice(slash + 1));
      if (upstream !== undefined && rest !== undefined) return this.#of(upstream, rest);
    }
    return undefined;
  }

  /** Of the default upstream, if there is one. For names that are neither prefixed nor hosted here. */
  ofDefault(name: RepositoryName): Mirrored<Upstream> | undefined {
    return this.#of(this.#default, name);
  }

  #of(upstream: Upstream | undefined, name: RepositoryName): Mirrored<Upstream> | undefined {
    if (upstream === undefined) return undefined;
    // On Docker Hub the official images have no owner in their names, but a place in the registry.
    const remote = isHub(upstream) && !name.includes('/') ? tryParseRepositoryName(`library/${name}`) : name;
    const local = remote && tryParseRepositoryName(upstream.prefix === '' ? remote : `${upstream.prefix}/${remote}`);
    return remote === undefined || local === undefined ? undefined : { upstream, remote, local };
  }
}

/** Of ASCII only: other letters become such (the sign for Kelvin is a k), and make another host. */
function lowerCase(host: string): string {
  return host.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function isHub({ name }: Naming): boolean {
  return name === dockerHub;
}

/** Where a registry of this name is reached, unless somebody says something else. */
export function usualOriginOf({ name }: Pick<Naming, 'name'>): string {
  return name === dockerHub ? 'https://registry-1.docker.io' : `https://${name}`;
}
