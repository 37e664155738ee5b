import type { LookupFunction } from 'node:net';
import type { SecureContext } from 'node:tls';
import { Agent, type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';

/** Through whom upstreams are reached. */
export interface Proxies {
  /** URL of the proxy for `http://`, and for `https://` where there is no other one. */
  readonly http?: string | undefined;
  readonly https?: string | undefined;
  /** Hosts that are reached without: `registry.inner,.example.com`, `*`. This machine always is. */
  readonly except?: string | undefined;
}

export interface ConnectOptions {
  /** In milliseconds. */
  readonly timeout: number;
  readonly secureContext?: SecureContext;
  readonly lookup?: LookupFunction;
}

/** From the variables `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or those in small letters, which come first. */
export function proxiesIn(environment: Readonly<Record<string, string | undefined>>): Proxies {
  const value = (name: string) => environment[name.toLowerCase()] || environment[name] || undefined;
  const url = (name: string) => {
    const text = value(name);
    return text === undefined || text.includes('://') ? text : `http://${text}`;
  };
  return { http: url('HTTP_PROXY'), https: url('HTTPS_PROXY'), except: value('NO_PROXY') };
}

/** Connections that are kept, through a proxy where there is one. @throws TypeError when its URL is none */
export function createAgent(connect: ConnectOptions, { http, https, except }: Proxies = {}): Dispatcher {
  const keepAliveTimeout = 15_000;
  if ((http === undefined && https === undefined) || except === '*') return new Agent({ keepAliveTimeout, connect });
  const { lookup, ...tls } = connect;
  return new EnvHttpProxyAgent({
    keepAliveTimeout,
    connect,
    // The server behind the proxy, and the proxy.
    requestTls: tls,
    proxyTls: tls,
    // Until the proxy has connected us; else it is waited for five minutes.
    clientFactory: (proxy: URL, options: object) => new Pool(proxy, { ...options, headersTimeout: connect.timeout }),
    // What is empty is not looked for in the environment.
    httpProxy: http ?? '',
    httpsProxy: https ?? '',
    noProxy: `localhost,127.0.0.1,[::1],${except ?? ''}`,
  });
}
