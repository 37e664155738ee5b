import type { StorageDriver } from '../../storage-drivers/driver.ts';
import type { Config } from '../config/schema.ts';
import type { Log } from '../http/log.ts';
import { TooLargeError } from '../mirror/downloads/download.ts';
import { Downloads } from '../mirror/downloads/downloads.ts';
import { createMirror } from '../mirror/mirror.ts';
import { rememberMarks } from '../mirror/remembered-marks.ts';
import { Statistics, type UpstreamReport } from '../mirror/statistics.ts';
import type { UpstreamEvent } from '../mirror/upstream/events.ts';
import type { Upstream } from '../mirror/upstream.ts';
import { withWithdrawals } from '../mirror/withdrawals.ts';
import type { Digest } from '../oci/digest.ts';
import type { Registry } from '../registry/registry.ts';
import { restrict } from '../registry/restrict.ts';
import { createSharedStore } from '../shared-store.ts';
import { largestOf, openSpace } from './configured-space.ts';
import { isProxy } from './proxied-upstream.ts';
import { objectsOf, spoolOf } from './spool.ts';
import { keepMirrorStatus, statusStore } from './status.ts';
import { marksIn } from './stored-marks.ts';
import { openUpstreams } from './upstreams.ts';

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
  /** Ends what is under way. Never rejects. */
  close(): Promise<void>;
}

/** Puts the mirror before a registry, as the section `mirror` or `proxy` asks; without upstreams nothing is mirrored. Asks nobody yet. */
export function openMirror(config: Config, parts: MirrorParts): OpenMirror {
  const { driver, log } = parts;
  const marks = rememberMarks(marksIn(driver));
  const hosted = withWithdrawals(parts.hosted, marks);
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
    tell(log, upstream, event);
  };
  const upstreams = openUpstreams(config, { ...parts, happened });
  const space = offline ? undefined : openSpace(config, { ...parts, upstreams, marks });
  const downloads = new Downloads({
    folder: spoolOf(config),
    objectOf: objectsOf(config),
    max: config.mirror.maxdownloads,
    maxSize: largestOf(config),
    onBegin: (download) => space?.coming(download),
    onEnd(download, error) {
      space?.came(download);
      const { digest, size, received } = download;
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
      if (fault.error instanceof TooLargeError) {
        log.warn('a blob is larger than half of mirror.maxsize, and is not kept', { ...fault });
      } else log.error('what has come from an upstream cannot be kept', { ...fault });
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
      // What each of them does at its end is worth doing whatever has become of the others.
      const closed = async (closing: Promise<unknown> | undefined) => {
        await closing?.catch((error: unknown) => log.error('the mirror could not be closed in order', { error }));
      };
      await closed(downloads.close());
      await closed(space?.close());
      await closed(status?.stop());
      await Promise.all(upstreams.map(({ client }) => closed(client.close())));
    },
  };
}

/** What distribution's `proxy` is beyond a mirror: nothing else is in it, and the registry that a client means (`?ns=`) is that one. */
function asProxy(mirror: Registry, remote: string): Registry {
  const reason = `this registry is a pull-through cache of ${remote}: push there, delete there`;
  return restrict(
    { ...mirror, repository: (name) => mirror.repository(name) },
    { delete: false, readOnly: true, reason },
  );
}

function tell(log: Log, upstream: string, event: UpstreamEvent): void {
  const { type, endpoint } = event;
  if (type === 'breaker') {
    const { state, failures, until } = event.state;
    const end = until === undefined ? {} : { until: new Date(until).toISOString() };
    log.warn('the circuit breaker of an endpoint has changed', { upstream, endpoint, state, failures, ...end });
  }
  if (type === 'answer') {
    const { request, status, milliseconds } = event;
    log.debug('an upstream has answered', { endpoint, request, status, milliseconds });
  }
  if (type !== 'failure') return;
  const { error } = event;
  // That an upstream does not let us in has a cause when it lies with us: a file or a program that should know a password.
  const isOurs = error.kind === 'denied' && error.cause !== undefined;
  log[isOurs ? 'warn' : 'debug']('an endpoint did not give what was asked for', { endpoint, error });
}
