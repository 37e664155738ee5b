import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { text as readAll } from 'node:stream/consumers';
import { type Command, InvalidArgumentError } from 'commander';
import { createDriver } from '../../storage-drivers/index.ts';
import type { Config } from '../config/schema.ts';
import { revealSecrets } from '../config/secret.ts';
import { Names } from '../mirror/naming.ts';
import { type ListedImage, parseImage, parseImageList, parsePlatforms } from '../mirror/sync/image-list.ts';
import { type SyncedImage, type SyncReport, syncImages } from '../mirror/sync/sync.ts';
import { isUpstreamError } from '../mirror/upstream/errors.ts';
import type { Upstream } from '../mirror/upstream.ts';
import { openMirror } from '../mirroring/open-mirror.ts';
import { createLog } from '../observe/log.ts';
import type { Platform } from '../oci/manifest.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import { validationOf } from '../validation-of.ts';
import { formatBytes } from './byte-size.ts';
import { CommandError } from './command-error.ts';
import { configureMirror } from './configure-mirror.ts';
import { becomeOwner } from './privileges.ts';
import { createProgressBar } from './progress-bar.ts';
import { version } from './version.ts';

interface SyncArguments {
  platform?: Platform[];
  referrers?: boolean;
  dryRun?: boolean;
  jobs: number;
  config?: string;
}

/** How long what is under way may take to end after an interruption, in milliseconds. */
const endTime = 5_000;

export function addMirrorSync(mirror: Command): void {
  mirror
    .command('sync')
    .argument('<image|file...>', 'images, and files that list them')
    .summary('fetch images ahead')
    .description(
      `Fetches images of the mirror's upstreams into the storage, with all that belongs to them; what is there already is not fetched again. Safe while the registry runs. Goes on when one fails, and exits with 1 then.

An image is named as clients name it: alpine, quay.io/team/app:1.2, ghcr.io/team/app@sha256:…; a tag with * in it means all that are like it: 'quay.io/team/app:1.*'. A file has one image in each line, behind it the platforms if they are others than --platform says, and remarks behind #. - is the standard input.`,
    )
    .option(
      '-p, --platform <list>',
      'only these, e.g. linux/amd64,linux/arm64; default: all that an image has',
      collect,
    )
    .option('-r, --referrers', 'signatures, attestations and all else that refers to the images, too')
    .option('-d, --dry-run', 'only say what would be fetched, and how much it is')
    .option('-j, --jobs <number>', 'how many blobs are fetched at a time', parseJobs, 4)
    .option('-c, --config <file>', 'the configuration file')
    .action(sync);
}

async function sync(given: readonly string[], options: SyncArguments): Promise<void> {
  // Before it becomes another user, who may not be allowed to.
  const lists = await Promise.all(given.map(async (one) => ({ one, text: await readList(one) })));
  const { config, source } = await configureMirror(options.config);
  if (config.storage.driver.name === 'inmemory')
    throw new CommandError(`${source} keeps everything in the memory of the server, which no command can reach`);
  if (config.storage.maintenance.readonly.enabled)
    throw new CommandError('storage.maintenance.readonly is enabled: nothing can be stored');
  await becomeOwner(config.storage);

  await withMirror(config, async ({ upstreams, ...registries }) => {
    const names = new Names(upstreams);
    const images = lists.flatMap(({ one, text }): ListedImage[] =>
      text === undefined
        ? [parseImage(one, names, options.platform)]
        : parseImageList(text, one, names, options.platform),
    );
    await run({ ...registries, images }, options);
  });
}

/** The text of a file that is there; undefined: the argument is the name of an image. */
async function readList(argument: string): Promise<string | undefined> {
  if (argument === '-') return readAll(process.stdin);
  const isFile = existsSync(argument) && statSync(argument).isFile();
  // No image is called so: it is a file that is not there.
  return isFile || /^\.{0,2}\//.test(argument) ? readFile(argument, 'utf8') : undefined;
}

type Registries = Pick<Parameters<typeof syncImages>[0], 'registry' | 'store' | 'settled'>;

/** As the server has it, beside which it may run. */
async function withMirror<T>(
  config: Config,
  use: (mirror: Registries & { readonly upstreams: readonly Upstream[] }) => Promise<T>,
): Promise<T> {
  const driver = createDriver(config.storage.driver.name, revealSecrets(config.storage.driver.parameters));
  const validation = validationOf(config.validation);
  const hosted = createStorageRegistry({ driver, validation });
  const store = createStorageRegistry({ driver, validation: { ...validation, references: false } });
  // What fails is said of the image that it fails for.
  const log = createLog({ level: 'error', formatter: 'text', accessLog: false });
  const mirror = openMirror(config, { hosted, store, driver, log, userAgent: `berth/${version()}` });
  try {
    return await use({ ...mirror, store });
  } finally {
    await mirror.close();
    await driver.close?.();
  }
}

async function run(what: Registries & { readonly images: readonly ListedImage[] }, options: SyncArguments) {
  const { dryRun = false, referrers = false, jobs } = options;
  const failed: SyncedImage[] = [];
  const bar = createProgressBar(process.stderr);
  const stopping = stopOnSignal();
  const report = await syncImages({
    ...what,
    dryRun,
    referrers,
    jobs,
    signal: stopping.signal,
    onProgress: dryRun ? () => {} : bar.update,
    onImage(image) {
      if (image.error !== undefined) failed.push(image);
      bar.above(() => say(image, dryRun));
    },
  }).finally(() => bar.end());
  stopping.done();

  console.log(summaryOf(report, dryRun));
  for (const { name, error } of failed) console.error(`${name}: ${reasonOf(error)}`);
  if (failed.length > 0) process.exitCode = 1;
  if (!stopping.signal.aborted) return;
  console.error('interrupted: what has come whole stays; the same command goes on with the rest');
  process.exitCode = 130;
}

/** The first signal ends it in order; a second one, or that nothing ends, at once. */
function stopOnSignal() {
  const stopping = new AbortController();
  const stop = () => {
    stopping.abort(new Error('interrupted'));
    process.once('SIGINT', () => process.exit(130)).once('SIGTERM', () => process.exit(130));
    setTimeout(() => process.exit(130), endTime).unref();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return {
    signal: stopping.signal,
    done: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}

function say({ name, remarks, error, ...amounts }: SyncedImage, dryRun: boolean): void {
  for (const remark of remarks) console.error(`warning: ${name}: ${remark}`);
  console.log(`${name}: ${error === undefined ? '' : 'failed, '}${shown(amounts, dryRun)}`);
}

function summaryOf({ images, failed, ...amounts }: SyncReport, dryRun: boolean): string {
  return `${plural(images, 'image')}: ${shown(amounts, dryRun)}, ${failed} failed`;
}

function shown({ fetched, kept }: Pick<SyncReport, 'fetched' | 'kept'>, dryRun: boolean): string {
  const came = `${dryRun ? 'would fetch' : 'fetched'} ${amount(fetched)}`;
  return kept.count === 0 ? came : `${came}, ${dryRun ? 'has' : 'had'} ${amount(kept)}`;
}

function amount({ count, bytes }: SyncReport['fetched']): string {
  return count === 0 ? 'nothing' : `${plural(count, 'blob')} (${formatBytes(bytes)})`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** What the upstream said is more exact than what clients are told. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return isUpstreamError(error.cause) ? error.cause.message : error.message;
}

function collect(text: string, before: Platform[] = []): Platform[] {
  try {
    return [...before, ...parsePlatforms(text)];
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function parseJobs(text: string): number {
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('must be a number from 1 to 99');
}
