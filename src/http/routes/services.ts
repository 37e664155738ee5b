import type { Authorized } from '../../auth/access.ts';
import type { Registry, Repository } from '../../registry/registry.ts';
import type { Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Target } from '../target.ts';

/** Who asks, and by which address. */
export interface Visit {
  /** Of the request. */
  readonly id: string;
  /** Of the client. */
  readonly addr: string;
  /** As the client calls us. */
  readonly host: string;
  readonly method: string;
  readonly useragent: string;
  /** Empty: anybody. */
  readonly user: string;
  /** Before the name of a repository: `http://registry:5000/v2/`. */
  readonly base: string;
}

/** Watches what a request does in a repository. `observe/notifications.ts` has the one that the server uses. */
export interface Watch {
  /** The same repository, through which it is seen. */
  readonly repository: Repository;
  succeeded(visit: Visit): void;
}

/** What every handler works with. */
export interface Services {
  readonly registry: Registry;
  /** Absent: nobody wants to know what is done. */
  readonly watch?: ((repository: Repository) => Watch) | undefined;
  /** Largest pages; a client that asks for more gets these and a link to the next one. */
  readonly pages: { readonly repositories: number; readonly tags: number };
}

export interface Call<T extends Target = Target> extends Services {
  readonly request: ApiRequest;
  readonly target: T;
  /** The one that the target names. */
  readonly repository: T extends { name: string } ? Repository : undefined;
  readonly caller: Authorized;
}

export type TargetOf<Kind extends Target['kind']> = Extract<Target, { kind: Kind }>;

/** Answers one method of one kind of target. */
export type Handler<Kind extends Target['kind']> = (call: Call<TargetOf<Kind>>) => Promise<Reply>;
