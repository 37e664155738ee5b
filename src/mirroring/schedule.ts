import { createHash } from 'node:crypto';
import { Cron } from 'croner';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { longestTimer } from '../config/duration.ts';
import { ConfigError } from '../config/finding.ts';
import type { Config } from '../config/schema.ts';
import type { Log } from '../http/log.ts';
import { Names } from '../mirror/naming.ts';
import { ImageListError, type ListedImage, parseImage, parsePlatform } from '../mirror/sync/image-list.ts';
import { type SyncOptions, type SyncReport, syncImages } from '../mirror/sync/sync.ts';
import type { Upstream } from '../mirror/upstream.ts';
import type { Registry } from '../registry/registry.ts';
import { createSharedStore } from '../shared-store.ts';
import type { OpenMirror } from './open-mirror.ts';

type Entry = Config['mirror']['schedule'][number];

export interface MirrorScheduleParts {
  readonly mirror: Pick<OpenMirror, 'registry' | 'upstreams' | 'settled'>;
  /** What the mirror keeps. */
  readonly store: Registry;
  readonly driver: StorageDriver;
  readonly log: Log;
  /** For tests. Default: the time of day; up to half a minute; {@link syncImages}. */
  readonly now?: () => number;
  readonly jitter?: () => number;
  readonly sync?: (options: SyncOptions) => Promise<SyncReport>;
}

/** A replica waits up to this long before it looks whether another one has begun, in milliseconds. */
const maxJitter = 30_000;

/** Images, manifests and blobs that are asked for at a time: clients come first. */
const jobs = 4;

/**
 * Fetches images ahead at the times that `mirror.schedule` says, in the time zone of the process. One run after another; of several
 * replicas one does it, unless two look within the same moment: then both do, which costs little, as what is there is not fetched.
 *
 * @throws ConfigError as {@link scheduledImages}
 */
export function startMirrorSchedule(
  schedule: Config['mirror']['schedule'],
  { mirror, store, driver, log, ...parts }: MirrorScheduleParts,
): { stop(): Promise<void> } {
  const { now = Date.now, jitter = () => Math.random() * maxJitter, sync = syncImages } = parts;
  const begun = createSharedStore(driver, { root: '/_berth/mirror/schedule', secret: false });
  const stopping = new AbortController();
  const timers = new Map<Entry, NodeJS.Timeout>();
  const waiting = new Set<Entry>();
  let last: Promise<void> = Promise.resolve();

  for (const { entry, images } of scheduledImages(schedule, mirror.upstreams)) {
    const cron = new Cron(entry.cron, { mode: '5-part', paused: true });
    const key = createHash('sha256').update(JSON.stringify(entry)).digest('hex').slice(0, 32);

    function wait(after: number): void {
      const due = cron.nextRun(new Date(after))?.getTime();
      if (due !== undefined) waitUntil(due, due + jitter());
    }
    function waitUntil(due: number, start: number): void {
      const rest = start - now();
      const next = () => (rest > longestTimer ? waitUntil(due, start) : arrive(due));
      timers.set(entry, setTimeout(next, Math.min(rest, longestTimer)).unref());
    }
    function arrive(due: number): void {
      wait(Math.max(due, now()));
      if (waiting.has(entry)) {
        log.warn('images are still being fetched since last time', { cron: entry.cron });
        return;
      }
      waiting.add(entry);
      last = last.then(() => run(due)).finally(() => waiting.delete(entry));
    }
    async function run(due: number): Promise<void> {
      if (stopping.signal.aborted) return;
      try {
        if (await isBegun(key, due)) return log.debug('another replica fetches images ahead', { cron: entry.cron });
        await fetchAhead(entry, images);
      } catch (error) {
        log.error('could not fetch images ahead', { cron: entry.cron, error });
      }
    }
    wait(now());
  }

  /** Whether another replica has begun what is due; if not, we have now. */
  async function isBegun(key: string, due: number): Promise<boolean> {
    const before = Date.parse((await begun.get(key))?.toString('utf8') ?? '');
    if (before >= due) return true;
    await begun.put(key, Buffer.from(new Date(due).toISOString()));
    return false;
  }

  async function fetchAhead({ cron, referrers }: Entry, images: SyncOptions['images']): Promise<void> {
    log.info('fetching images ahead', { cron, listed: images.length });
    const start = now();
    const report = await sync({
      registry: mirror.registry,
      store,
      settled: mirror.settled,
      images,
      jobs,
      referrers,
      dryRun: false,
      signal: stopping.signal,
      onImage({ name, remarks, error }) {
        if (error !== undefined) log.warn('could not fetch an image ahead', { image: name, error });
        for (const remark of remarks) log.warn('an image is not all that was asked for', { image: name, remark });
      },
    });
    const { images: count, failed, fetched, kept } = report;
    log.info(stopping.signal.aborted ? 'stopped fetching images ahead' : 'fetched images ahead', {
      cron,
      images: count,
      failed,
      blobs: fetched.count,
      bytes: fetched.bytes,
      kept: kept.count,
      seconds: Math.round((now() - start) / 1000),
    });
  }

  return {
    async stop() {
      stopping.abort(new Error('the server stops'));
      for (const timer of timers.values()) clearTimeout(timer);
      await last;
    },
  };
}

/**
 * What is to be fetched ahead by each entry.
 *
 * @throws ConfigError when an image or a platform cannot be understood, or an image is of no upstream
 */
export function scheduledImages(
  schedule: readonly Entry[],
  upstreams: readonly Upstream[],
): { readonly entry: Entry; readonly images: readonly ListedImage[] }[] {
  const names = new Names(upstreams);
  return schedule.map((entry, index) => {
    const key = `mirror.schedule.${index}`;
    const platforms = parsed(entry.platforms, `${key}.platforms`, parsePlatform);
    const chosen = platforms.length === 0 ? undefined : platforms;
    return { entry, images: parsed(entry.images, `${key}.images`, (image) => parseImage(image, names, chosen)) };
  });
}

function parsed<T>(texts: readonly string[], key: string, parse: (text: string) => T): T[] {
  return texts.map((text, index) => {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof ImageListError)) throw error;
      throw new ConfigError([{ source: 'the configuration', key: `${key}.${index}`, message: error.message }]);
    }
  });
}
