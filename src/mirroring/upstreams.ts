import type { Config } from '../config/schema.ts';
import type { Naming } from '../mirror/naming.ts';
import type { Upstream } from '../mirror/upstream.ts';
import { namingOf, openConfigured, originOf } from './configured-upstream.ts';
import { isProxy, namingOfProxied, openProxied } from './proxied-upstream.ts';
import type { UpstreamParts } from './upstream-parts.ts';

/** An upstream, as the clients of this server know it. */
export interface NamedUpstream extends Naming {
  /** Where they reach it without this server: `https://quay.io`. */
  readonly origin: string;
}

/** How the upstreams of a configuration are named: of `mirror.upstreams`, or the one of `proxy`, which exclude each other. */
export function namesOf({ mirror, proxy }: Config): readonly NamedUpstream[] {
  return isProxy(proxy)
    ? [{ ...namingOfProxied(proxy), origin: new URL(proxy.remoteurl).origin }]
    : mirror.upstreams.map((upstream) => ({ ...namingOf(upstream), origin: originOf(upstream) }));
}

/** The same, to be asked. Asks nobody yet. @throws ConfigError when a file with certificates cannot be read, or a proxy is no URL */
export function openUpstreams({ mirror, proxy }: Config, parts: UpstreamParts): readonly Upstream[] {
  if (isProxy(proxy)) return [openProxied(proxy, parts)];
  return mirror.upstreams.map((upstream, index) => openConfigured(upstream, `mirror.upstreams.${index}`, parts));
}
