import type { Authorized } from '../../auth/access.ts';
import type { Registry, Repository } from '../../registry/registry.ts';
import type { Reply } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Target } from '../target.ts';

/** What every handler works with. */
export interface Services {
  readonly registry: Registry;
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
