import type { Body } from '../../wire/body.ts';
import type { Answer } from '../../wire/messages.ts';
import { untilAborted } from '../until-aborted.ts';
import { Authorization, ChallengeError, type CredentialsSource, type Grant } from './authorization.ts';
import type { BreakerOptions, BreakerState } from './breaker.ts';
import { EndpointBreakers, type RepositoryPass } from './breakers.ts';
import { type EndpointUrl, parseEndpointUrl } from './endpoint-url.ts';
import { UpstreamError, type UpstreamErrorKind, type UpstreamRequestInfo } from './errors.ts';
import type { UpstreamEvent } from './events.ts';
import type { Timeouts } from './http.ts';
import { brokenBody, kindOf, refusalOf } from './outcome.ts';
import type { Proxies } from './proxies.ts';
import { type RateLimit, readRateLimit } from './rate-limit.ts';
import { fetchToken } from './token-server.ts';
import { Transport } from './transport.ts';

export interface EndpointOptions {
  /** As {@link parseEndpointUrl} takes it. */
  readonly url: string;
  /** Certificates in PEM that are trusted beside the usual ones. */
  readonly ca: string | undefined;
  readonly proxies?: Proxies | undefined;
  /** Name of the upstream, for errors. */
  readonly upstream: string;
  readonly credentials: CredentialsSource;
  readonly userAgent: string;
  readonly timeouts: Timeouts;
  readonly realmHosts: readonly string[];
  readonly breaker: Omit<BreakerOptions, 'now' | 'onChange'>;
  readonly onEvent: (event: UpstreamEvent) => void;
  readonly now: () => number;
}

export interface EndpointRequest {
  readonly method: 'GET' | 'HEAD';
  readonly repository: string;
  /** Behind the repository: `manifests/latest`, with the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Statuses that are an answer, and not an error. Default: 200 */
  readonly expects?: readonly number[];
}

export interface EndpointAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
  /** An error of this request. */
  error(kind: UpstreamErrorKind, reason: string): UpstreamError;
  /** What reading the body failed with, as it is to be thrown: the reason of the signal, or an UpstreamError. */
  broken(cause: unknown): unknown;
  /** The whole body. @param limit in bytes @throws UpstreamError `invalid` when it is longer, `unreachable` when it breaks off */
  bytes(limit: number): Promise<Buffer>;
}

/** What is known of a request while it is under way. */
interface Exchange {
  readonly request: EndpointRequest;
  readonly url: URL;
  readonly info: UpstreamRequestInfo;
  readonly signal: AbortSignal | undefined;
}

/** One endpoint of an upstream: sends requests unless it should be left alone, logs in, and says what came of it. */
export class Endpoint {
  readonly #options: EndpointOptions;
  readonly #place: EndpointUrl;
  readonly #transport: Transport;
  readonly #authorization: Authorization;
  readonly #breakers: EndpointBreakers;
  /** For an answer that is small, from its begin: nobody may drip it for ever. In milliseconds. */
  readonly #within: number;
  #rateLimit: RateLimit | undefined;

  /** @throws TypeError when the URL is none */
  constructor(options: EndpointOptions) {
    const { url, upstream, ca, proxies, timeouts, userAgent, credentials, realmHosts, onEvent, now } = options;
    this.#options = options;
    this.#place = parseEndpointUrl(url);
    this.#within = timeouts.head + timeouts.idle;
    const endpoint = this.#place.url;
    const transport = new Transport({ endpoint, ca, proxies, timeouts, userAgent, onEvent, now });
    this.#transport = transport;
    const tokenServer = { transport, upstream, endpoint: url, within: timeouts.head, now };
    this.#authorization = new Authorization({
      endpoint,
      credentials,
      realmHosts,
      guard: transport.guard,
      fetch: (request) => fetchToken(request, tokenServer),
      now,
    });
    this.#breakers = new EndpointBreakers({
      ...options.breaker,
      now,
      onChange: (state) => onEvent({ type: 'breaker', endpoint: url, state }),
    });
  }

  get url(): string {
    return this.#options.url;
  }

  get breaker(): BreakerState {
    return this.#breakers.state;
  }

  /** What was said last; undefined as long as nothing was. */
  get rateLimit(): RateLimit | undefined {
    return this.#rateLimit;
  }

  /**
   * Resolves when the answer begins, with a status that is expected.
   *
   * @throws UpstreamError; the reason of `signal`
   */
  async send(request: EndpointRequest, signal?: AbortSignal): Promise<EndpointAnswer> {
    signal?.throwIfAborted();
    const url = new URL(`${this.#place.repositories}${request.repository}/${request.path}`, this.#place.url);
    const sent = `${request.method} ${url.origin}${url.pathname}`;
    const info = { upstream: this.#options.upstream, endpoint: this.url, request: sent };
    const pass = this.#breakers.enter(request.repository);
    if ('kind' in pass) {
      const reason = pass.kind === 'throttled' ? 'it asked to be left alone' : 'it did not answer of late';
      throw new UpstreamError(pass.kind, info, { reason, retryAt: pass.retryAt });
    }
    try {
      const answer = await this.#exchange({ request, url, info, signal });
      pass.gave();
      return answer;
    } catch (error) {
      throw told(error, pass);
    }
  }

  /** Tells of content that came from here. @param bytes how many */
  received(kind: 'manifest' | 'blob', bytes: number): void {
    this.#options.onEvent({ type: 'received', endpoint: this.url, kind, bytes });
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  /**
   * Sends a request with what it needs to be let in: three times at most, as is known, with a token that was there, and
   * with one that is new.
   */
  async #exchange(exchange: Exchange): Promise<EndpointAnswer> {
    const { request, url, info, signal } = exchange;
    const repository = `${this.#place.prefix}${request.repository}`;
    let grant = await granted(exchange, () => this.#authorization.expected(repository));
    for (let attempt = 1; ; attempt++) {
      const sent = { url, method: request.method, headers: request.headers ?? {} };
      const { answer, url: from } = await this.#transport.follow(sent, grant?.header, info, signal);
      // Who we were sent to has no business with a login here.
      const isRefused = answer.status === 401 && from.origin === url.origin;
      if (!isRefused || attempt === 3 || (attempt === 2 && grant?.fresh)) {
        return this.#judged(answer, from, grant, exchange);
      }
      answer.body.discard();
      const refused = grant;
      const challenge = answer.headers['www-authenticate'];
      grant = await granted(exchange, () => this.#authorization.answer(repository, challenge, refused));
    }
  }

  async #judged(
    answer: Answer,
    from: URL,
    grant: Grant | undefined,
    { request, url, info, signal }: Exchange,
  ): Promise<EndpointAnswer> {
    const { status, headers, body } = answer;
    const isOwn = from.origin === url.origin;
    const now = this.#options.now();
    const rateLimit = isOwn ? readRateLimit(headers, now) : undefined;
    if (rateLimit !== undefined) this.#rateLimit = rateLimit;

    if (!(request.expects ?? [200]).includes(status)) {
      throw await refusalOf(answer, {
        info,
        kind: kindOf(status, from.hostname, grant?.isToken),
        from: isOwn ? undefined : from.host,
        knowsUs: isOwn && grant?.isToken === false,
        secrets: grant === undefined ? [] : [grant.secret],
        within: this.#within,
        now,
        signal,
      });
    }
    const error = (kind: UpstreamErrorKind, reason: string) => new UpstreamError(kind, info, { reason, status });
    const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
    if (encoding !== 'identity') {
      body.destroy();
      throw error('invalid', `encoded with ${encoding.slice(0, 40)}, which nobody asked for`);
    }
    const broken = (cause: unknown) => (signal?.aborted ? signal.reason : brokenBody(info, status, cause));
    return {
      status,
      headers,
      body,
      error,
      broken,
      bytes: (limit) =>
        body.bytes(limit, this.#within, signal).catch((cause: unknown) => {
          throw broken(cause);
        }),
    };
  }
}

/** Tells the breakers of an error. @returns what is to be thrown */
function told(error: unknown, pass: RepositoryPass): unknown {
  if (!(error instanceof UpstreamError)) {
    pass.left();
    return error;
  }
  switch (error.kind) {
    case 'unreachable':
      if (error.status === undefined) pass.failed();
      else pass.erred();
      return error;
    case 'throttled':
      return error.until(pass.throttled(error.retryAt));
    default:
      pass.answered();
      return error;
  }
}

/** A login is for all who wait for it, so it goes on when one of them leaves. */
async function granted<T>({ info, signal }: Exchange, login: () => Promise<T>): Promise<T> {
  try {
    return await untilAborted(login(), signal);
  } catch (error) {
    if (!(error instanceof ChallengeError)) throw error;
    throw new UpstreamError(error.kind, info, { reason: error.message, status: 401, cause: error.cause });
  }
}
