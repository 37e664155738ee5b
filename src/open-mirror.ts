import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StorageDriver } from '../storage-drivers/driver.ts';
import { createGlob } from './auth/policy/glob.ts';
import { ConfigError } from './config/finding.ts';
import type { Config } from './config/schema.ts';
import type { Log } from './http/log.ts';
import { Downloads } from './mirror/downloads/downloads.ts';
import type { Marks } from './mirror/marks.ts';
import { createMirror } from './mirror/mirror.ts';
import { Space, type SpaceEvent } from './mirror/space/space.ts';
import { createUpstreamClient } from './mirror/upstream/client.ts';
import type { Upstream } from './mirror/upstream.ts';
import type { Registry } from './registry/registry.ts';
import { createSharedStore } from './shared-store.ts';

type UpstreamConfig = Config['mirror']['upstreams'][number];

export interface MirrorParts {
  readonly hosted: Registry;
  /** As in `MirrorOptions`. */
  readonly store: Registry;
  readonly driver: StorageDriver;
  readonly log: Log;
  readonly userAgent: string;
}

export interface OpenMirror {
  readonly registry: Registry;
  /** Begins what it does by itself. The storage must be there. */
  start(): void;
  close(): Promise<void>;
}

/** Puts the mirror before a registry, as the section `mirror` asks; without upstreams it is the registry itself. Asks nobody yet. */
export function openMirror(config: Config, parts: MirrorParts): OpenMirror {
  const { hosted, driver, log } = parts;
  // For maintenance nothing may be stored: what is kept is served under its own name.
  const { readonly } = config.storage.maintenance;
  if (config.mirror.upstreams.length === 0 || readonly.enabled) {
    return { registry: hosted, start() {}, close: async () => {} };
  }
  const upstreams = config.mirror.upstreams.map((upstream) => openUpstream(upstream, parts));
  const space = openSpace(config, upstreams, parts);
  const downloads = new Downloads({
    folder: spoolOf(config),
    onBegin: ({ digest, size }) => space?.coming(digest, size),
    onEnd({ digest, size, received }, error) {
      space?.came(digest);
      if (error === undefined) log.debug('a blob has come from an upstream', { digest, size });
      else log.warn('a blob did not come whole from an upstream', { digest, size, received, error });
    },
  });
  const registry = createMirror({
    hosted,
    store: space?.store ?? parts.store,
    upstreams,
    downloads,
    marks: marksIn(driver),
    onEvent(event) {
      space?.used(event);
      const { outcome, upstream, repository, reference, error } = event;
      if (outcome === 'stale') log.warn('an upstream cannot be asked', { upstream, repository, reference, error });
    },
  });
  return {
    registry,
    start: () => space?.start(),
    async close() {
      await downloads.close();
      await space?.close();
      await Promise.all(upstreams.map(({ client }) => client.close()));
    },
  };
}

/** Undefined when the mirror may grow for ever. */
function openSpace(config: Config, upstreams: readonly Upstream[], parts: MirrorParts): Space | undefined {
  const { maxsize, maxage, pinned } = config.mirror;
  if (maxsize === undefined && maxage === undefined) return undefined;
  const { store, driver, log } = parts;
  const globs = pinned.map(createGlob);
  return new Space({
    driver,
    store,
    prefixes: upstreams.map(({ prefix }) => prefix),
    maxSize: maxsize,
    maxAge: maxage,
    isPinned: (name) => globs.some((glob) => glob(name)),
    redirect: !config.storage.redirect.disable && driver.redirectUrl !== undefined,
    onEvent: (event) => logSpace(event, log),
  });
}

const spaceMessages: Readonly<Record<SpaceEvent['type'], readonly ['info' | 'warn' | 'error', string]>> = {
  evicted: ['info', 'the mirror has dropped what was not asked for'],
  full: ['warn', 'the mirror has more than mirror.maxsize, and nothing of it may go now'],
  surveyed: ['info', 'the mirror knows what it has'],
  restored: ['info', 'content that the mirror was about to drop was stored anew, or is hosted now, and stays'],
  fault: ['error', 'the mirror could not make room'],
};

function logSpace({ type, ...fields }: SpaceEvent, log: Log): void {
  const [level, message] = spaceMessages[type];
  log[level](message, fields);
}

function openUpstream(config: UpstreamConfig, { log, userAgent }: MirrorParts): Upstream {
  const { name, username, password, passwordfile, realms, revalidate, maxstale } = config;
  const isHub = name === 'docker.io';
  const { endpoints = [isHub ? 'https://registry-1.docker.io' : `https://${name}`] } = config;
  const { aliases = isHub ? ['index.docker.io', 'registry-1.docker.io'] : [] } = config;
  const ca = config.ca === undefined ? undefined : readCa(config.ca);
  const allowed = config.allow.map(createGlob);
  const denied = config.deny.map(createGlob);
  const client = createUpstreamClient({
    name,
    endpoints: endpoints.map((url) => ({ url, ca })),
    ...(username !== undefined && {
      credentials: async () => ({
        username,
        password: passwordfile === undefined ? (password?.reveal() ?? '') : await readPassword(passwordfile),
      }),
    }),
    userAgent,
    realmHosts: realms,
    onEvent(event) {
      if (event.type === 'breaker') log.warn('an upstream', { endpoint: event.endpoint, ...event.state });
    },
  });
  return {
    name,
    aliases,
    prefix: config.prefix ?? name.replace(/:\d+$/, ''),
    isDefault: config.default,
    client,
    admits: (remote) => allowed.some((glob) => glob(remote)) && !denied.some((glob) => glob(remote)),
    revalidate,
    maxStale: maxstale,
  };
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([{ source: path, key: 'mirror.upstreams', message: `cannot be read: ${error}` }]);
  }
}

async function readPassword(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
}

function spoolOf({ mirror, storage }: Config): string {
  if (mirror.spool !== undefined) return mirror.spool;
  const { name, parameters } = storage.driver;
  const root = name === 'filesystem' ? String(parameters.rootdirectory ?? '/var/lib/registry') : undefined;
  return root === undefined ? join(tmpdir(), `berth-mirror-${process.pid}`) : join(root, '_berth/mirror/incoming');
}

function marksIn(driver: StorageDriver): Marks {
  const store = createSharedStore(driver, { root: '/_berth/mirror/tags', secret: false });
  return {
    async get(name, tag) {
      const text = (await store.get(`${name}/_tags/${tag}`))?.toString('utf8');
      const checked = Date.parse(text ?? '');
      return Number.isNaN(checked) ? undefined : { checked };
    },
    put: (name, tag, { checked }) => store.put(`${name}/_tags/${tag}`, Buffer.from(new Date(checked).toISOString())),
  };
}
