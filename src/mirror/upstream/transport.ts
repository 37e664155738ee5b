import type { Answer } from '../../wire/messages.ts';
import { AddressGuard } from './address.ts';
import { UpstreamError, type UpstreamRequestInfo } from './errors.ts';
import type { UpstreamEvent } from './events.ts';
import { HttpConnections, type HttpRequest, type Timeouts } from './http.ts';
import { failureOf, isReset } from './outcome.ts';
import type { Proxies } from './proxies.ts';

/** Redirects that are followed for one request. */
const maxRedirects = 5;

export interface TransportOptions {
  readonly endpoint: URL;
  readonly ca: string | undefined;
  readonly proxies?: Proxies | undefined;
  readonly timeouts: Timeouts;
  readonly userAgent: string;
  readonly onEvent: (event: UpstreamEvent) => void;
  readonly now: () => number;
}

/** Gets requests of one endpoint answered, by it or by whom it sends us to, whatever the answer is. */
export class Transport {
  /** What the endpoint may send us to. */
  readonly guard: AddressGuard;
  readonly #options: TransportOptions;
  readonly #connections: HttpConnections;

  constructor(options: TransportOptions) {
    const { endpoint, ca, timeouts, proxies } = options;
    this.#options = options;
    this.guard = new AddressGuard(endpoint.hostname);
    this.#connections = new HttpConnections({ host: endpoint.hostname, ca, timeouts, guard: this.guard, proxies });
  }

  /** Follows nothing. @throws UpstreamError `unreachable`; the reason of `signal` */
  async send(request: HttpRequest, info: UpstreamRequestInfo, signal?: AbortSignal): Promise<Answer> {
    const { userAgent, now, onEvent } = this.#options;
    // What is compressed on its way has another length and another digest, and no ranges.
    const headers = { 'user-agent': userAgent, 'accept-encoding': 'identity', ...request.headers };
    const { origin, pathname } = request.url;
    for (let attempt = 1; ; attempt++) {
      const started = now();
      try {
        const answer = await this.#connections.send({ ...request, headers }, signal);
        onEvent({
          type: 'answer',
          endpoint: info.endpoint,
          request: `${request.method} ${origin}${pathname}`,
          status: answer.status,
          milliseconds: now() - started,
        });
        return answer;
      } catch (cause) {
        signal?.throwIfAborted();
        // A connection that was kept may have been closed by the other side just when it was used again.
        if (attempt === 1 && isReset(cause)) continue;
        throw new UpstreamError('unreachable', info, { reason: failureOf(cause), cause });
      }
    }
  }

  /**
   * Follows redirects.
   *
   * @param authorization goes to the endpoint only, and no more once it has sent us elsewhere
   * @returns the answer, and the URL that it is of
   * @throws UpstreamError `unreachable`, or `invalid` when it sends us where we do not go; the reason of `signal`
   */
  async follow(
    { url: first, method, headers }: HttpRequest,
    authorization: string | undefined,
    info: UpstreamRequestInfo,
    signal?: AbortSignal,
  ): Promise<{ answer: Answer; url: URL }> {
    let url = first;
    let isOwn = true;
    for (let redirects = 0; ; redirects++) {
      const login = isOwn && authorization !== undefined ? { authorization } : {};
      const answer = await this.send({ url, method, headers: { ...headers, ...login } }, info, signal);
      const { status } = answer;
      if (![301, 302, 303, 307, 308].includes(status)) return { answer, url };
      answer.body.discard();
      const location = answer.headers.location ?? '';
      const target = location !== '' && URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      const fault = redirects === maxRedirects ? `more than ${maxRedirects} redirects` : this.#redirectFault(target);
      if (fault !== undefined || target === undefined) {
        throw new UpstreamError('invalid', info, { reason: fault ?? 'a redirect to nowhere', status });
      }
      url = target;
      isOwn &&= url.origin === first.origin;
    }
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  #redirectFault(url: URL | undefined): string | undefined {
    const { endpoint } = this.#options;
    if (url === undefined) return 'a redirect to nowhere';
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return `a redirect to ${url.protocol}`;
    if (url.username !== '' || url.password !== '') return 'a redirect with credentials in it';
    if (url.protocol === 'http:' && endpoint.protocol === 'https:') return `a redirect from TLS to ${url.origin}`;
    if (url.hostname !== endpoint.hostname && !this.guard.allowsHost(url.hostname)) {
      return `a redirect to an internal address, ${url.host}`;
    }
    return undefined;
  }
}
