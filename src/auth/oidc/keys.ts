import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';

/** For one answer of an issuer, in milliseconds. */
const answerTime = 5_000;

/** Keys are asked for again after so long, and at once for a key that is not known; but never more often than the pause. */
const keyLifetime = 600_000;
const keyPause = 30_000;

/** The same for an issuer of which nothing is known yet: nobody can log in meanwhile. */
const firstPause = 2_000;

/** Where the keys are is asked for again after so long, in milliseconds. */
const metadataLifetime = 3_600_000;

/** A document of some kilobytes is expected. In bytes. */
const maxDocument = 1024 * 1024;

const metadata = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https?$/ }) });

export type Fetch = (
  url: string,
  init: { signal: AbortSignal; headers: Headers; redirect: 'manual' },
) => Promise<Response>;

export interface IssuerKeysOptions {
  readonly issuer: string;
  /** Where its keys are; undefined: where its metadata says (OpenID Connect Discovery 1.0, 4). */
  readonly jwksUrl: string | undefined;
  readonly fetch: Fetch;
}

/** The keys of an issuer, kept for a while, and asked for anew when it has changed them. */
export function createIssuerKeys({ issuer, jwksUrl, fetch }: IssuerKeysOptions): JWTVerifyGetKey {
  let opening: Promise<JWTVerifyGetKey> | undefined;
  let opened = 0;
  let failed = 0;

  async function open(): Promise<JWTVerifyGetKey> {
    const url = jwksUrl ?? (await discover());
    return createRemoteJWKSet(new URL(url), {
      timeoutDuration: answerTime,
      cacheMaxAge: keyLifetime,
      cooldownDuration: keyPause,
      [customFetch]: async (target: string, init: { signal: AbortSignal; headers: Headers; redirect: 'manual' }) =>
        bounded(await fetch(target, init)),
    });
  }

  async function discover(): Promise<string> {
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const signal = AbortSignal.timeout(answerTime);
    const response = await bounded(await fetch(url, { signal, headers: new Headers(), redirect: 'manual' }));
    if (response.status !== 200) throw new Error(`${url} answers with ${response.status}`);
    const found = metadata.parse(await response.json());
    if (found.issuer !== issuer) throw new Error(`${url} is about another issuer, ${found.issuer}`);
    // What is proved with a certificate is not taken from anybody in between.
    if (issuer.startsWith('https:') && !found.jwks_uri.startsWith('https:')) {
      throw new Error(`${url} has its keys at ${found.jwks_uri}, without TLS`);
    }
    return found.jwks_uri;
  }

  function current(): Promise<JWTVerifyGetKey> {
    const stale = jwksUrl === undefined && Date.now() - opened > metadataLifetime;
    const mayAsk = Date.now() - failed >= (opening === undefined ? firstPause : keyPause);
    if (opening !== undefined && !(stale && mayAsk)) return opening;
    if (!mayAsk) return Promise.reject(new Error(`${issuer} did not answer a moment ago`));
    const before = opening;
    opened = Date.now();
    // Those that are known serve on when the issuer does not answer.
    opening = open().catch((error: unknown) => {
      failed = Date.now();
      opening = before;
      if (before !== undefined) return before;
      throw error;
    });
    return opening;
  }

  return async (header, token) => (await current())(header, token);
}

async function bounded(response: Response): Promise<Response> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxDocument) throw new Error('the answer is longer than 1 MiB');
  }
  return new Response(Buffer.concat(chunks), { status: response.status, headers: response.headers });
}
