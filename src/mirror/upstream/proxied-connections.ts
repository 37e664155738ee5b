import { type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import { Body } from '../../wire/body.ts';
import { LateError } from '../../wire/connection.ts';
import type { ConnectOptions } from '../../wire/connections.ts';
import type { Answer, Request } from '../../wire/messages.ts';
import type { Timeouts } from './http.ts';
import type { Proxies } from './proxies.ts';

/** Whether any host may be reached through a proxy. */
export function isProxied({ http, https, except }: Proxies): boolean {
  return (http !== undefined || https !== undefined) && except !== '*';
}

/**
 * Connections through proxies, and to hosts that are reached without. Below what undici calls `request`, as streams of
 * Node would cost more than everything else that is done to a byte.
 */
export class ProxiedConnections {
  readonly #timeouts: Timeouts;
  readonly #agent: Dispatcher;

  /** @throws TypeError when the URL of a proxy is none */
  constructor(timeouts: Timeouts, options: ConnectOptions, { http, https, except }: Proxies) {
    this.#timeouts = timeouts;
    const connect = { timeout: timeouts.connect, ...options };
    const { lookup, ...tls } = connect;
    this.#agent = new EnvHttpProxyAgent({
      keepAliveTimeout: 15_000,
      connect,
      // The server behind the proxy, and the proxy.
      requestTls: tls,
      proxyTls: tls,
      // Until the proxy has connected us; else it is waited for five minutes.
      clientFactory: (proxy: URL, options: object) => new Pool(proxy, { ...options, headersTimeout: timeouts.connect }),
      // What is empty is not looked for in the environment.
      httpProxy: http ?? '',
      httpsProxy: https ?? '',
      noProxy: `localhost,127.0.0.1,[::1],${except ?? ''}`,
    });
  }

  /** As `Connections.send`. */
  send({ origin, path, method, headers }: Request, signal?: AbortSignal): Promise<Answer> {
    const { connect, header, idle } = this.#timeouts;
    const options = { headersTimeout: header, bodyTimeout: idle };
    return new Promise((resolve, reject) => {
      let body: Body | undefined;
      let controller: Dispatcher.DispatchController | undefined;
      let givenUp: Error | undefined;
      const giveUp = (reason: Error) => {
        if (body !== undefined) return body.destroy(reason);
        givenUp = reason;
        settle();
        controller?.abort(reason);
        // One that waits for a connection is ended when it gets one.
        reject(reason);
      };
      const within = connect + header;
      const late = () => giveUp(new LateError(`did not answer within ${within} ms`));
      // Of a proxy that ends what it has just connected nothing else is ever heard.
      const deadline = setTimeout(late, within);
      const abort = () => giveUp(signal?.reason);
      const settle = () => {
        clearTimeout(deadline);
        signal?.removeEventListener('abort', abort);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      this.#agent.dispatch(
        { origin, path, method, headers: { ...headers }, ...options },
        {
          onRequestStart(started) {
            controller = started;
            if (givenUp !== undefined) started.abort(givenUp);
          },
          onResponseStart(started, status, given) {
            if (status < 200) return;
            clearTimeout(deadline);
            body = new Body(started);
            resolve({ status, headers: flattened(given), body });
          },
          onResponseData(started, chunk) {
            if (body?.push(chunk) === false) started.pause();
          },
          onResponseEnd() {
            settle();
            body?.end();
          },
          onResponseError(_, error) {
            settle();
            if (body === undefined) reject(error);
            else body.end(error);
          },
        },
      );
    });
  }

  /** Without waiting for what is on its way. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function flattened(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) flat[name.toLowerCase()] = String(value);
  return flat;
}
