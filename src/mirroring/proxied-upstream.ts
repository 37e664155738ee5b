import type { Config } from '../config/schema.ts';
import { aliasesOf } from '../config/sections/mirror.ts';
import { dockerHub, type Naming } from '../mirror/naming.ts';
import { createUpstreamClient } from '../mirror/upstream/client.ts';
import { createCredentialHelper } from '../mirror/upstream/credential-helper.ts';
import type { Upstream } from '../mirror/upstream.ts';
import { proxiesOf } from './proxies.ts';
import type { UpstreamParts } from './upstream-parts.ts';

type ProxyConfig = Config['proxy'] & { readonly remoteurl: string };

/** Whether the section `proxy` asks for anything. */
export function isProxy(proxy: Config['proxy']): proxy is ProxyConfig {
  return proxy.remoteurl !== undefined;
}

/**
 * The registry that `proxy` is of, as distribution has it: all names are its own, each tag is asked for each time, and what is
 * kept is served when it cannot be asked, however old it is.
 */
export function openProxied(proxy: ProxyConfig, { userAgent, happened }: UpstreamParts): Upstream {
  const { remoteurl, username, password, exec } = proxy;
  const naming = namingOfProxied(proxy);
  const { name } = naming;
  const credentials =
    exec !== undefined
      ? createCredentialHelper({ command: exec.command, lifetime: exec.lifetime })
      : username !== undefined
        ? { username, password: password?.reveal() ?? '' }
        : undefined;
  return {
    ...naming,
    client: createUpstreamClient({
      name,
      endpoints: [{ url: remoteurl }],
      ...(credentials !== undefined && { credentials }),
      userAgent,
      proxies: proxiesOf(process.env),
      onEvent: (event) => happened(name, event),
    }),
    admits: () => true,
    revalidate: 0,
    maxStale: Number.POSITIVE_INFINITY,
    patience: 3_000,
  };
}

export function namingOfProxied({ remoteurl }: ProxyConfig): Naming {
  const { host } = new URL(remoteurl);
  const name = hubHosts.has(host) ? dockerHub : host;
  return { name, aliases: aliasesOf({ name }), prefix: '', isDefault: true };
}

/** Under which Docker Hub is reached. */
const hubHosts = new Set([dockerHub, ...aliasesOf({ name: dockerHub })]);
