import type { LoadedConfig } from '../config/load.ts';
import { type NamedUpstream, namesOf } from '../mirroring/upstreams.ts';
import { CommandError } from './command-error.ts';
import { configure } from './configure.ts';

/**
 * As {@link configure}, for commands that have to do with upstreams.
 *
 * @throws ConfigError; CommandError when there is none
 */
export async function configureMirror(
  argument: string | undefined,
): Promise<LoadedConfig & { readonly upstreams: readonly NamedUpstream[] }> {
  const loaded = await configure(argument);
  const upstreams = namesOf(loaded.config);
  if (upstreams.length > 0) return { ...loaded, upstreams };
  throw new CommandError(`${loaded.source} mirrors nothing: it has neither mirror.upstreams nor proxy.remoteurl`);
}
