import { type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import { LateError } from '../../wire/connection.ts';
import type { ConnectOptions, Limits } from '../../wire/connections.ts';
import { dispatch } from '../../wire/dispatch.ts';
import type { Answer, Request } from '../../wire/messages.ts';
import type { Proxies } from './proxies.ts';

/** Connections through proxies, and to hosts that are reached without. */
export class ProxiedConnections {
  readonly #limits: Limits;
  readonly #agent: Dispatcher;

  /** @throws TypeError when the URL of a proxy is none */
  constructor(limits: Limits, options: ConnectOptions, { http, https, except }: Proxies) {
    this.#limits = limits;
    const connect = { timeout: limits.connect, ...options };
    const { lookup, ...tls } = connect;
    this.#agent = new EnvHttpProxyAgent({
      keepAliveTimeout: limits.keepAlive,
      connect,
      // The server behind the proxy, and the proxy.
      requestTls: tls,
      proxyTls: tls,
      // Until the proxy has connected us; else it is waited for five minutes.
      clientFactory: (proxy: URL, options: object) => new Pool(proxy, { ...options, headersTimeout: limits.connect }),
      // What is empty is not looked for in the environment.
      httpProxy: http ?? '',
      httpsProxy: https ?? '',
      noProxy: `localhost,127.0.0.1,[::1],${except ?? ''}`,
    });
  }

  /** As `Connections.send`. */
  async send({ origin, path, method, headers }: Request, signal?: AbortSignal): Promise<Answer> {
    const { connect, head, idle } = this.#limits;
    // Of a proxy that ends what it has just connected nothing else is ever heard.
    const late = new AbortController();
    const within = connect + head;
    const deadline = setTimeout(() => late.abort(new LateError(`did not answer within ${within} ms`)), within);
    const ended = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
    const options = { headers: { ...headers }, headersTimeout: head, bodyTimeout: idle };
    try {
      return await dispatch(this.#agent, { origin, path, method, ...options }, ended);
    } catch (error) {
      ended.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Without waiting for what is on its way. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
