/** Through whom upstreams are reached. */
export interface Proxies {
  /** URL of the proxy for `http://`, and for `https://` where there is no other one. */
  readonly http?: string | undefined;
  readonly https?: string | undefined;
  /** Hosts that are reached without: `registry.inner,.example.com`, `*`. This machine always is. */
  readonly except?: string | undefined;
}

/** Whether any host may be reached through a proxy. */
export function isProxied({ http, https, except }: Proxies): boolean {
  return (http !== undefined || https !== undefined) && except !== '*';
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
