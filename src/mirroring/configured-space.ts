import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createGlob } from '../auth/policy/glob.ts';
import type { Config } from '../config/schema.ts';
import type { Log } from '../http/log.ts';
import type { Marks } from '../mirror/marks.ts';
import type { Naming } from '../mirror/naming.ts';
import { readSchedulerState } from '../mirror/space/scheduler-state.ts';
import { Space, type SpaceEvent } from '../mirror/space/space.ts';
import type { Registry } from '../registry/registry.ts';
import { isProxy } from './proxied-upstream.ts';

export interface SpaceParts {
  readonly upstreams: readonly Naming[];
  readonly marks: Marks;
  /** As in `SpaceOptions`. */
  readonly store: Registry;
  readonly driver: StorageDriver;
  readonly log: Log;
}

/** What the mirror may take, as `mirror.maxsize`, `mirror.maxage` or `proxy.ttl` bound it. @returns undefined: it may grow for ever */
export function openSpace(config: Config, { upstreams, marks, store, driver, log }: SpaceParts): Space | undefined {
  const { maxsize, maxage, pinned } = config.mirror;
  const ttl = isProxy(config.proxy) && config.proxy.ttl > 0 ? config.proxy.ttl : undefined;
  if (maxsize === undefined && maxage === undefined && ttl === undefined) return undefined;
  const globs = pinned.map(createGlob);
  return new Space({
    driver,
    store,
    prefixes: upstreams.map(({ prefix }) => prefix),
    isClaimed: (name) => marks.isClaimed(name),
    maxSize: maxsize,
    maxAge: ttl ?? maxage,
    ...(ttl !== undefined && { expiries: () => readSchedulerState(driver) }),
    isPinned: (name) => globs.some((glob) => glob(name)),
    redirect: !config.storage.redirect.disable && driver.redirectUrl !== undefined,
    onEvent: (event) => tell(event, log),
  });
}

/** Half of what may be kept: one blob must not drive out all the others. @returns bytes; undefined: any */
export function largestOf({ mirror: { maxsize } }: Config): number | undefined {
  return maxsize === undefined ? undefined : Math.floor(maxsize / 2);
}

const messages: Readonly<Record<SpaceEvent['type'], readonly ['info' | 'warn' | 'error', string]>> = {
  evicted: ['info', 'the mirror has dropped what was not asked for'],
  full: ['warn', 'the mirror has more than mirror.maxsize, and nothing of it may go now'],
  surveyed: ['info', 'the mirror knows what it has'],
  restored: ['info', 'content that the mirror was about to drop was stored anew, or is hosted now, and stays'],
  fault: ['error', 'the mirror could not make room'],
};

function tell({ type, ...fields }: SpaceEvent, log: Log): void {
  const [level, message] = messages[type];
  log[level](message, fields);
}
