import { z } from 'zod';

/**
 * Who somebody proved to be. In policies it is written `<kind>:<name>`: `user:alice`, `token:ci`,
 * `oidc:github:my-org/app` (the name of the issuer in the configuration, then what it says of the caller),
 * `certificate:node-7`.
 */
export interface Identity {
  readonly kind: 'user' | 'token' | 'oidc' | 'certificate';
  readonly name: string;
  /** What an access token was given by itself, beside what the policy gives to it. */
  readonly grants?: readonly Grant[];
  /** What an access token of a user is limited to. Undefined: nothing but the user's own rights. */
  readonly limits?: readonly Grant[];
}

/** Actions on all repositories that a pattern names, see `createGlob`. As it is stored, and stands in tokens. */
export const grant = z.object({
  repositories: z.array(z.string()),
  actions: z.array(z.enum(['pull', 'push', 'delete'])),
});
export type Grant = z.output<typeof grant>;

export function formatIdentity(identity: Identity | undefined): string {
  return identity === undefined ? 'anonymous' : `${identity.kind}:${identity.name}`;
}

/** Reads what {@link formatIdentity} writes, without grants and limits; undefined when it is neither that nor a name. */
export function parseIdentity(text: string): Identity | undefined {
  const [, kind, name = ''] = /^(user|token|oidc|certificate):(.+)$/.exec(text) ?? [];
  return kind === undefined ? undefined : { kind: kind as Identity['kind'], name };
}
