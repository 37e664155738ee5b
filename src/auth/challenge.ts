import { RegistryError, type RegistryErrorOptions } from '../oci/errors.ts';
import type { Access } from './access.ts';
import { formatScope, isSearch } from './scope.ts';

/** RFC 6750, 3.1, as distribution's token specification uses it; clients decide by it whether to ask for another token. */
export type BearerFault = 'invalid_token' | 'insufficient_scope';

export interface BearerChallenge {
  /** Absolute URL of the token server. */
  readonly realm: string;
  readonly service: string;
  readonly access: readonly Access[];
  readonly fault?: BearerFault | undefined;
}

/** 401 that sends the client for a token. The status is 401 for a lack of scope too: clients know nothing else. */
export function bearerChallenge({ realm, service, access, fault }: BearerChallenge, message?: string): RegistryError {
  // Nobody has to ask for searching: it shows what the caller may pull.
  const asked = access.filter((item) => !isSearch(item));
  const parameters = [
    `realm="${quotable(realm)}"`,
    `service="${quotable(service)}"`,
    ...(asked.length > 0 ? [`scope="${asked.map(formatScope).join(' ')}"`] : []),
    ...(fault === undefined ? [] : [`error="${fault}"`]),
  ];
  return unauthorized(`Bearer ${parameters.join(',')}`, access, message);
}

/** 401 that asks for a user and a password. */
export function basicChallenge(realm: string, access: readonly Access[], message?: string): RegistryError {
  return unauthorized(`Basic realm="${quotable(realm)}"`, access, message);
}

function unauthorized(challenge: string, access: readonly Access[], message: string | undefined): RegistryError {
  const options: RegistryErrorOptions = { detail: detailOf(access), headers: { 'WWW-Authenticate': challenge } };
  return new RegistryError('UNAUTHORIZED', message === undefined ? options : { ...options, message });
}

/** What was asked for, as distribution tells it. */
export function detailOf(access: readonly Access[]): unknown {
  return access.flatMap(({ type, name, actions }) =>
    actions.map((action) => ({ Type: type, Class: '', Name: name, Action: action })),
  );
}

/** Clients read no escapes. */
function quotable(text: string): string {
  return text.replaceAll(/["\\\p{Cc}]/gu, '');
}
