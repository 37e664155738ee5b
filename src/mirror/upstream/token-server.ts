import { UpstreamError, type UpstreamRequestInfo } from './errors.ts';
import { brokenBody, kindOf, refusalOf } from './outcome.ts';
import type { Transport } from './transport.ts';

/** A request to a token server. */
export interface TokenRequest {
  /** With service and scope. */
  readonly url: URL;
  readonly authorization: string | undefined;
  /** Not to be repeated in an error. */
  readonly secrets: readonly string[];
}

/** An answer of a token server. */
export interface TokenAnswer {
  readonly value: string;
  /** In milliseconds. */
  readonly lifetime: number;
}

export interface TokenServerOptions {
  readonly transport: Transport;
  readonly upstream: string;
  /** URL of the endpoint. */
  readonly endpoint: string;
  /** For an answer, from its begin, in milliseconds. */
  readonly within: number;
  readonly now: () => number;
}

/** An answer has a few thousand bytes. */
const maxAnswer = 128 * 1024;

/** When nothing else is said (distribution, "Token Authentication Specification"). In seconds. */
const defaultLifetime = 60;

/** Nobody means more. In seconds. */
const longestLifetime = 86_400;

/** It becomes a header, and those have limits. */
const grammar = /^[\x21-\x7e]{1,32768}$/;

/**
 * Asks for a token by GET. Redirects are not followed: a token server that is elsewhere is to say so in the realm, where it
 * is looked at.
 *
 * @throws UpstreamError of any kind; `missing` is none of them, as it would be taken for what the token is for
 */
export async function fetchToken(
  { url, authorization, secrets }: TokenRequest,
  { transport, upstream, endpoint, within, now }: TokenServerOptions,
): Promise<TokenAnswer> {
  const info: UpstreamRequestInfo = { upstream, endpoint, request: `GET ${url.origin}${url.pathname}` };
  const headers = { accept: 'application/json', ...(authorization !== undefined && { authorization }) };
  const answer = await transport.send({ url, method: 'GET', headers }, info);
  const { status, body } = answer;
  if (status !== 200) {
    const kind = kindOf(status);
    const context = { info, knowsUs: authorization !== undefined, secrets, within, now: now() };
    throw await refusalOf(answer, { ...context, kind: kind === 'missing' ? 'invalid' : kind });
  }
  let content: Buffer;
  try {
    content = await body.bytes(maxAnswer, within);
  } catch (cause) {
    throw brokenBody(info, status, cause);
  }
  const token = readToken(content);
  if (token === undefined) throw new UpstreamError('invalid', info, { reason: 'its answer has no token', status });
  return token;
}

/**
 * Reads `{"token":…,"access_token":…,"expires_in":…}`. When it was issued is not looked at: clocks differ, and it comes
 * at once.
 *
 * @returns undefined when there is no token in it
 */
function readToken(content: Buffer): TokenAnswer | undefined {
  let json: unknown;
  try {
    json = JSON.parse(content.toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const { token, access_token, expires_in } = json as Readonly<Record<string, unknown>>;
  // Some servers have one of them empty.
  const value = [token, access_token].find((candidate) => typeof candidate === 'string' && grammar.test(candidate));
  if (typeof value !== 'string') return undefined;
  const seconds = typeof expires_in === 'number' && expires_in > 0 ? expires_in : defaultLifetime;
  return { value, lifetime: Math.min(seconds, longestLifetime) * 1000 };
}
