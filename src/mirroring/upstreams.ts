import type { Config } from '../config/schema.ts';
import type { Naming } from '../mirror/naming.ts';
import type { Upstream } from '../mirror/upstream.ts';
import { namingOf, openConfigured } from './configured-upstream.ts';
import { isProxy, namingOfProxied, openProxied } from './proxied-upstream.ts';
import type { UpstreamParts } from './upstream-parts.ts';

/** How the upstreams of a configuration are named: of `mirror.upstreams`, or the one of `proxy`, which exclude each other. */
export function namesOf({ mirror, proxy }: Config): readonly Naming[] {
  return isProxy(proxy) ? [namingOfProxied(proxy)] : mirror.upstreams.map(namingOf);
}

/** The same, to be asked. Asks nobody yet. @throws ConfigError when a file with certificates cannot be read */
export function openUpstreams({ mirror, proxy }: Config, parts: UpstreamParts): readonly Upstream[] {
  if (isProxy(proxy)) return [openProxied(proxy, parts)];
  return mirror.upstreams.map((upstream, index) => openConfigured(upstream, `mirror.upstreams.${index}`, parts));
}
