import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isStoragePath, type StorageDriver } from '../storage-drivers/driver.ts';
import { createGlob } from './auth/policy/glob.ts';
import { ConfigError } from './config/finding.ts';
import type { Config } from './config/schema.ts';
import { aliasesOf, prefixOf } from './config/sections/mirror.ts';
import type { Log } from './http/log.ts';
import { Downloads } from './mirror/downloads/downloads.ts';
import type { Marks } from './mirror/marks.ts';
import { createMirror } from './mirror/mirror.ts';
import { type Naming, originOf } from './mirror/naming.ts';
import { readSchedulerState } from './mirror/space/scheduler-state.ts';
import { Space, type SpaceEvent } from './mirror/space/space.ts';
import { Statistics, type UpstreamReport } from './mirror/statistics.ts';
import { createUpstreamClient } from './mirror/upstream/client.ts';
import type { UpstreamEvent } from './mirror/upstream/events.ts';
import { proxiesIn } from './mirror/upstream/proxies.ts';
import type { Upstream } from './mirror/upstream.ts';
import { keepMirrorStatus, statusStore } from './mirror-status.ts';
import type { Digest } from './oci/digest.ts';
import { isProxy, namingOfProxied, openProxied, type UpstreamParts } from './proxied-upstream.ts';
import type { Registry } from './registry/registry.ts';
import { restrict } from './registry/restrict.ts';
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

export interface MirrorReport {
  readonly upstreams: readonly UpstreamReport[];
  /** Blobs that are on their way. */
  readonly downloads: number;
}

export interface OpenMirror {
  readonly registry: Registry;
  /** Those that may be asked. */
  readonly upstreams: readonly Upstream[];
  /** As `SyncOptions.settled`. */
  settled(digest: Digest): Promise<void>;
  /** What it has done so far, and how its upstreams are; absent: nothing is mirrored. */
  readonly report?: () => MirrorReport;
  /** Begins what goes on beside requests; the storage is there then. */
  start(): void;
  close(): Promise<void>;
}

/** Puts the mirror before a registry, as the section `mirror` or `proxy` asks; without upstreams it is the registry itself. Asks nobody yet. */
export function openMirror(config: Config, parts: MirrorParts): OpenMirror {
  const { hosted, driver, log } = parts;
  const proxy = isProxy(config.proxy) ? config.proxy : undefined;
  if (proxy === undefined && config.mirror.upstreams.length === 0) {
    const nothing = async () => {};
    return { registry: hosted, upstreams: [], settled: nothing, start() {}, close: nothing };
  }
  // For maintenance nothing may be stored.
  const offline = config.storage.maintenance.readonly.enabled;
  const statistics = new Statistics();
  const happened = (upstream: string, event: UpstreamEvent) => {
    statistics.happened(upstream, event);
    tell(log, event);
  };
  const upstreams =
    proxy === undefined
      ? config.mirror.upstreams.map((upstream) => openUpstream(upstream, { ...parts, happened }))
      : [openProxied(proxy, { ...parts, happened })];
  const marks = marksIn(driver);
  const space = offline ? undefined : openSpace(config, { ...parts, upstreams, marks });
  const downloads = new Downloads({
    folder: spoolOf(config),
    objectOf: objectsBelow(rootOf(config)),
    max: config.mirror.maxdownloads,
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
    marks,
    offline,
    onFault(fault) {
      log.error('what has come from an upstream cannot be kept', { ...fault });
    },
    onEvent(event) {
      space?.used(event);
      statistics.answered(event);
      log.debug('answered for an upstream', { ...event });
      const { outcome, upstream, repository, reference, error } = event;
      if (outcome === 'stale') log.warn('an upstream cannot be asked', { upstream, repository, reference, error });
    },
    onSent: (sent) => statistics.sent(sent),
  });
  const report = () => ({
    upstreams: upstreams.map(({ client }) => statistics.report(client.status())),
    downloads: downloads.running,
  });
  let status: ReturnType<typeof keepMirrorStatus> | undefined;
  return {
    registry: proxy === undefined ? registry : asProxy(registry, proxy.remoteurl),
    upstreams: offline ? [] : upstreams,
    settled: (digest) => downloads.settled(digest),
    report,
    start() {
      log.info('what is pulled through is kept', { upstreams: upstreams.map(({ name }) => name) });
      if (offline) return;
      space?.start();
      status = keepMirrorStatus(createSharedStore(driver, statusStore), { report, log });
    },
    async close() {
      await downloads.close();
      await space?.close();
      await status?.stop();
      await Promise.all(upstreams.map(({ client }) => client.close()));
    },
  };
}

interface SpaceParts extends MirrorParts {
  readonly upstreams: readonly Upstream[];
  readonly marks: Marks;
}

/** Undefined when the mirror may grow for ever. */
function openSpace(config: Config, { upstreams, marks, store, driver, log }: SpaceParts): Space | undefined {
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

/** What distribution's `proxy` is beyond a mirror: nothing else is in it, and the registry that a client means (`?ns=`) is that one. */
function asProxy(mirror: Registry, remote: string): Registry {
  const reason = `this registry is a pull-through cache of ${remote}: push there, delete there`;
  return restrict(
    { ...mirror, repository: (name) => mirror.repository(name) },
    { delete: false, readOnly: true, reason },
  );
}

function tell(log: Log, event: UpstreamEvent): void {
  if (event.type === 'breaker') log.warn('an upstream', { endpoint: event.endpoint, ...event.state });
  if (event.type !== 'failure') return;
  const { endpoint, error } = event;
  // That an upstream does not let us in has a cause when it lies with us: a file or a program that should know a password.
  const isOurs = error.kind === 'denied' && error.cause !== undefined;
  log[isOurs ? 'warn' : 'debug']('an endpoint did not give what was asked for', { endpoint, error });
}

/** How the upstreams are named that a configuration has. */
export function namesOf({ mirror, proxy }: Config): readonly Naming[] {
  return isProxy(proxy) ? [namingOfProxied(proxy)] : mirror.upstreams.map(namingOf);
}

/** With what the configuration leaves to be said by default. */
function namingOf(config: UpstreamConfig): Naming {
  return { name: config.name, aliases: aliasesOf(config), prefix: prefixOf(config), isDefault: config.default };
}

function openUpstream(config: UpstreamConfig, { userAgent, happened }: UpstreamParts): Upstream {
  const { name, username, accounts, realms, timeouts, revalidate, maxstale } = config;
  const { endpoints = [originOf(config)] } = config;
  const ca = config.ca === undefined ? undefined : readCa(config.ca);
  const allowed = config.allow.map(createGlob);
  const denied = config.deny.map(createGlob);
  const client = createUpstreamClient({
    name,
    endpoints: endpoints.map((url) => {
      const account = accounts.find(({ endpoint }) => endpoint === url);
      return { url, ca, ...(account && { credentials: credentialsOf(account) }) };
    }),
    ...(username !== undefined && { credentials: credentialsOf({ ...config, username }) }),
    userAgent,
    proxies: proxiesIn(process.env),
    timeouts: {
      connect: timer(timeouts.connect),
      header: timer(timeouts.answer),
      idle: timer(timeouts.idle),
    },
    realmHosts: realms,
    onEvent: (event) => happened(name, event),
  });
  return {
    ...namingOf(config),
    client,
    admits: (remote) => allowed.some((glob) => glob(remote)) && !denied.some((glob) => glob(remote)),
    revalidate,
    maxStale: maxstale,
    patience: timer(config.patience),
  };
}

/** Timers cannot wait longer. @param duration in milliseconds */
function timer(duration: number): number {
  return Math.min(duration, 2 ** 31 - 1);
}

function readCa(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError([{ source: path, key: 'mirror.upstreams', message: `cannot be read: ${error}` }]);
  }
}

type Account = UpstreamConfig['accounts'][number];

/** Asked each time, as the file may have changed. */
function credentialsOf({ username, password, passwordfile }: Omit<Account, 'endpoint'>) {
  return async () => ({
    username,
    password: passwordfile === undefined ? (password?.reveal() ?? '') : await readPassword(passwordfile),
  });
}

async function readPassword(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
}

/** @returns undefined: one for temporary files */
function spoolOf(config: Config): string | undefined {
  if (config.mirror.spool !== undefined) return resolve(config.mirror.spool);
  const root = rootOf(config);
  return root && join(root, '_berth/mirror/incoming');
}

/** Of a storage that is a folder. */
function rootOf({ storage: { driver } }: Config): string | undefined {
  return driver.name === 'filesystem'
    ? resolve(String(driver.parameters.rootdirectory ?? '/var/lib/registry'))
    : undefined;
}

/** Tells what a file is in the storage. @param root of the storage */
function objectsBelow(root: string | undefined): ((file: string) => string | undefined) | undefined {
  if (root === undefined) return undefined;
  return (file) => {
    const path = file.startsWith(`${root}/`) ? file.slice(root.length) : '';
    return isStoragePath(path) ? path : undefined;
  };
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
    isClaimed: async (name) => (await store.get(`${name}/_mirrored`)) !== undefined,
    claim: (name) => store.put(`${name}/_mirrored`, Buffer.from(new Date().toISOString())),
  };
}
