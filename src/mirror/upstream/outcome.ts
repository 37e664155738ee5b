import { type Body, BodyLimitError } from '../../wire/body.ts';
import type { Answer } from '../../wire/messages.ts';
import {
  UpstreamError,
  type UpstreamErrorKind,
  type UpstreamFault,
  type UpstreamRequestInfo,
  withoutStack,
} from './errors.ts';
import { readFault } from './fault.ts';
import { readRetryAfter } from './rate-limit.ts';
import { siteOf } from './realm.ts';

/** Bytes of an error that are read. */
const maxFault = 16 * 1024;

/**
 * What a status means that is not the one hoped for.
 *
 * @param host of the endpoint @param hasToken whether a token server let us in before
 */
export function kindOf(status: number, host = '', hasToken = false): UpstreamErrorKind {
  if (status === 404 || status === 410) return 'missing';
  // Docker Hub gives a token to everybody, and then says 401 to what is not there as to what is private.
  if (status === 401 && hasToken && siteOf(host) === 'docker.io') return 'missing';
  if (status === 401 || status === 403) return 'denied';
  if (status === 429) return 'throttled';
  // 501 speaks of the method, not of the server.
  if (status === 408 || (status >= 500 && status !== 501)) return 'unreachable';
  return 'invalid';
}

export interface RefusalContext {
  readonly info: UpstreamRequestInfo;
  readonly kind: UpstreamErrorKind;
  /** Host that answers, if it is another one. */
  readonly from?: string | undefined;
  /** Whether our user name and password went with the request. */
  readonly knowsUs?: boolean;
  /** Not to be repeated. */
  readonly secrets: readonly string[];
  /** For the body, in milliseconds. */
  readonly within: number;
  readonly now: number;
  readonly signal?: AbortSignal | undefined;
}

/** An answer that is an error, with what it says. @throws the reason of `signal` */
export async function refusalOf({ status, headers, body }: Answer, context: RefusalContext): Promise<UpstreamError> {
  const { info, kind, from, knowsUs = false, secrets, within, now, signal } = context;
  const retryAt = kind === 'throttled' ? readRetryAfter(headers['retry-after'], now) : undefined;
  const reason = `answers with ${status}${from === undefined ? '' : ` from ${from}`}`;
  return new UpstreamError(kind, info, {
    reason,
    status,
    fault: await faultOf(body, secrets, within, signal),
    retryAt,
    ...(knowsUs &&
      status === 401 && { cause: withoutStack(new Error('it does not accept our user name and password')) }),
  });
}

async function faultOf(
  body: Body,
  secrets: readonly string[],
  within: number,
  signal: AbortSignal | undefined,
): Promise<UpstreamFault> {
  try {
    return readFault(await body.bytes(maxFault, within, signal), secrets);
  } catch {
    signal?.throwIfAborted();
    // The status says enough.
    return {};
  }
}

/** The error that a body which broke off makes, or one that is too long. */
export function brokenBody(info: UpstreamRequestInfo, status: number, cause: unknown): UpstreamError {
  const kind = cause instanceof BodyLimitError && cause.limit === 'size' ? 'invalid' : 'unreachable';
  return new UpstreamError(kind, info, { reason: failureOf(cause), status, cause });
}

/** In a few words. Several addresses that refuse make an error without a message. */
export function failureOf(error: unknown): string {
  const message = error instanceof Error ? error.message.slice(0, 200) : '';
  const code = codeOf(error);
  return [message, message.includes(code) ? '' : code].filter((text) => text !== '').join(', ') || 'failed';
}

/** Whether the other side ended the connection. */
export function isReset(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error));
}

function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
