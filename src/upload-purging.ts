import type { StorageDriver } from '../storage-drivers/driver.ts';
import { longestTimer } from './config/duration.ts';
import type { Log } from './http/log.ts';
import { purgeUploads } from './registry/purge-uploads.ts';

export interface UploadPurging {
  readonly enabled: boolean;
  /** In milliseconds. */
  readonly age: number;
  /** In milliseconds. */
  readonly interval: number;
  readonly dryrun: boolean;
}

/** The first run waits up to this long, so that replicas that start together do not all walk the storage at once. */
const maxDelay = 3_600_000;

/** Runs `storage.maintenance.uploadpurging` in the background. */
export function startUploadPurging(
  { enabled, age, interval, dryrun }: UploadPurging,
  driver: StorageDriver,
  log: Log,
): { stop(): Promise<void> } | undefined {
  if (!enabled) return undefined;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let timer = schedule(Math.random() * Math.min(maxDelay, interval));

  function schedule(delay: number): NodeJS.Timeout {
    return setTimeout(
      () => {
        running = run();
        timer = schedule(interval);
      },
      Math.min(delay, longestTimer),
    ).unref();
  }

  const onFault = (repository: string, id: string, error: unknown) =>
    log.error('could not purge an upload', { repository, id, error });

  async function run(): Promise<void> {
    let count = 0;
    let bytes = 0;
    try {
      const before = new Date(Date.now() - age);
      for await (const upload of purgeUploads({ driver, before, dryRun: dryrun, onFault, signal: stopping.signal })) {
        count++;
        bytes += upload.size;
        log.debug(dryrun ? 'would purge an upload' : 'purged an upload', { ...upload });
      }
      log.info(dryrun ? 'looked for unfinished uploads' : 'purged unfinished uploads', { count, bytes });
    } catch (error) {
      if (!stopping.signal.aborted) log.error('could not purge unfinished uploads', { error });
    }
  }

  return {
    async stop() {
      clearTimeout(timer);
      stopping.abort();
      await running;
    },
  };
}
