import { LRUCache } from 'lru-cache';
import {
  ObjectTooLargeError,
  PathNotFoundError,
  type StorageDriver,
  StorageError,
  type StorageObject,
} from '../../storage-drivers/driver.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { algorithmOf, type Digest, encodedOf, tryParseDigest } from '../oci/digest.ts';
import { type RepositoryName, tryParseTag } from '../oci/name.ts';
import { ahead } from './ahead.ts';
import type { Content } from './content.ts';
import { layout } from './layout.ts';
import { linkTo, readLink, remove, statOrUndefined } from './links.ts';
import type { PageOptions, Referrers } from './registry.ts';

const algorithms = ['sha256', 'sha512'] as const;

/** What a storage answers that can be read but not written. */
const unwritable = new Set<string>(['STORAGE_READ_ONLY', 'STORAGE_DENIED', 'STORAGE_FULL']);

/** Manifests that are read at a time. */
const lookAhead = 32;

/** A clock may differ between machines that write to one storage, and file times are coarse. In milliseconds. */
const clockTolerance = 60_000;

/** In bytes. */
const maxDateSize = 256;

/** The part of the index that pushing and deleting manifests keep up. */
export interface ReferrersIndex {
  /** What is to be stored when `digest` refers to `subject`. */
  entry(subject: Digest, digest: Digest): StorageObject;
  remove(subject: Digest, digest: Digest): Promise<void>;
}

/**
 * What this process has seen of the manifests of all repositories, so that a scan looks at each one once. Nothing
 * depends on it but the cost of a scan.
 */
export interface ReferrersMemory {
  /** `name@digest` of manifests that the index covers. */
  readonly covered: LRUCache<string, true>;
  /** When the folder of a repository's manifests had changed last, when the index covered all of it. */
  readonly complete: LRUCache<RepositoryName, number>;
}

export function createReferrersMemory(): ReferrersMemory {
  return { covered: new LRUCache({ max: 50_000 }), complete: new LRUCache({ max: 10_000 }) };
}

export interface ReferrersOptions {
  driver: StorageDriver;
  content: Content;
  memory: ReferrersMemory;
  now: () => Date;
  /** The index must not be written: every question then costs a scan of what it does not cover. */
  readOnly: boolean;
}

interface Candidates {
  readonly digests: AsyncIterable<Digest | undefined>;
  /** Is called when the index covers them all. */
  covered(): Promise<void>;
}

export function createReferrersIndex(driver: StorageDriver, name: RepositoryName): ReferrersIndex {
  return {
    entry: (subject, digest) => linkTo(layout.referrer(name, subject, digest), digest),
    async remove(subject, digest) {
      await remove(driver, layout.referrer(name, subject, digest));
    },
  };
}

/**
 * The index holds a link for every manifest with a subject that berth stored. Manifests that came another way
 * (pushed to distribution, restored from a backup) are found by a scan of the repository's manifests, which runs when
 * somebody asks and has to look at what came since the last time; each process reads each manifest once.
 * What clients without the API wrote down under the tag `sha256-…` (distribution-spec, "Referrers Tag Schema") is
 * merged in as well.
 */
export function createReferrers(options: ReferrersOptions, name: RepositoryName, index: ReferrersIndex): Referrers {
  const { driver, content, memory, now, readOnly } = options;

  async function contentOf(digest: Digest) {
    const target = await readLink(driver, layout.revision(name, digest));
    const bytes = target && (await content.get(target));
    return target && bytes && { bytes, info: content.info(target, bytes) };
  }

  /** @returns undefined when the manifest is gone or refers to something else */
  async function describe(digest: Digest, subject: Digest): Promise<Descriptor | undefined> {
    const found = await contentOf(digest);
    const info = found?.info;
    if (found === undefined || info === undefined || (info.subject ?? subject) !== subject) return undefined;
    return {
      mediaType: info.mediaType,
      digest,
      size: found.bytes.length,
      ...(info.artifactType !== undefined && { artifactType: info.artifactType }),
      ...(info.annotations !== undefined && { annotations: info.annotations }),
    };
  }

  /** @returns false when the storage takes no writes */
  async function save(write: () => Promise<void>): Promise<boolean> {
    if (readOnly) return false;
    try {
      await write();
      return true;
    } catch (error) {
      if (error instanceof StorageError && unwritable.has(error.code)) return false;
      throw error;
    }
  }

  /** Manifests that may have come another way since the last scan. */
  function candidates(signal?: AbortSignal): Promise<Candidates | undefined> {
    return driver.objects === undefined ? whenFolderChanged(signal) : byDate(driver.objects, signal);
  }

  /** Where folders have dates: all of them, or none if nothing came or went. */
  async function whenFolderChanged(signal?: AbortSignal): Promise<Candidates | undefined> {
    const begun = now().getTime();
    let changed: number | undefined = 0;
    for (const algorithm of algorithms) {
      const stat = await statOrUndefined(driver, layout.revisions(name, algorithm));
      if (stat !== undefined && changed !== undefined) {
        changed = stat.modified && Math.max(changed, stat.modified.getTime());
      }
    }
    if (changed === 0 || (changed !== undefined && memory.complete.get(name) === changed)) return undefined;
    async function* digests() {
      for (const algorithm of algorithms) {
        for await (const entry of driver.list(layout.revisions(name, algorithm), signal && { signal })) {
          yield tryParseDigest(`${algorithm}:${entry.name}`);
        }
      }
    }
    return {
      digests: digests(),
      // A change within the clock's grain of the scan may have been missed: then the next one looks again.
      async covered() {
        if (changed !== undefined && changed < begun - clockTolerance) memory.complete.set(name, changed);
      },
    };
  }

  /** Where objects are listed with their dates: those that are not older than the newest one of the last scan. */
  async function byDate(
    objects: NonNullable<StorageDriver['objects']>,
    signal?: AbortSignal,
  ): Promise<Candidates | undefined> {
    const since = (await readDate(layout.referrersScanned(name))) ?? 0;
    let newest = since;
    async function* digests() {
      for await (const { path, modified } of objects.call(driver, layout.revisions(name), signal && { signal })) {
        const time = modified?.getTime() ?? Number.POSITIVE_INFINITY;
        if (time < since - clockTolerance) continue;
        if (Number.isFinite(time)) newest = Math.max(newest, time);
        const [algorithm, encoded, file, ...others] = path.split('/');
        if (file === 'link' && others.length === 0) yield tryParseDigest(`${algorithm}:${encoded}`);
      }
    }
    return {
      digests: digests(),
      async covered() {
        if (newest <= since + clockTolerance) return;
        const content = Buffer.from(new Date(newest).toISOString());
        await save(() => driver.put(layout.referrersScanned(name), content));
      },
    };
  }

  async function readDate(path: string): Promise<number | undefined> {
    try {
      const time = Date.parse((await driver.get(path, { maxSize: maxDateSize })).toString('latin1'));
      return Number.isNaN(time) ? undefined : time;
    } catch (error) {
      if (error instanceof PathNotFoundError || error instanceof ObjectTooLargeError) return undefined;
      throw error;
    }
  }

  /** Brings the index up to date. @returns those who refer to `subject` but could not be written into it */
  async function scan(subject: Digest, signal?: AbortSignal): Promise<Digest[]> {
    const found = await candidates(signal);
    if (found === undefined) return [];
    const unsaved: Digest[] = [];
    let complete = true;
    const unknown = async (digest: Digest | undefined) => {
      if (digest === undefined || memory.covered.has(`${name}@${digest}`)) return undefined;
      return { digest, refersTo: (await contentOf(digest))?.info.subject };
    };
    for await (const { result } of ahead(found.digests, lookAhead, unknown)) {
      if (result === undefined) continue;
      const { digest, refersTo } = result;
      if (refersTo !== undefined && !(await save(() => driver.putAll([index.entry(refersTo, digest)])))) {
        if (refersTo === subject) unsaved.push(digest);
        complete = false;
        continue;
      }
      memory.covered.set(`${name}@${digest}`, true);
    }
    if (complete) await found.covered();
    return unsaved;
  }

  async function indexed(subject: Digest, after: string | undefined): Promise<Set<Digest>> {
    const found = new Set<Digest>();
    for (const algorithm of algorithms) {
      for await (const entry of driver.list(`${layout.referrers(name, subject)}/${algorithm}`)) {
        const digest = tryParseDigest(`${algorithm}:${entry.name}`);
        if (digest !== undefined && (after === undefined || digest > after)) found.add(digest);
      }
    }
    return found;
  }

  async function fallback(subject: Digest): Promise<Digest[]> {
    const tag = tryParseTag(`${algorithmOf(subject)}-${encodedOf(subject).slice(0, 64)}`);
    const digest = tag && (await readLink(driver, layout.tagCurrent(name, tag)));
    const found = digest && (await contentOf(digest));
    return (found?.info?.manifests ?? []).map((child) => child.digest);
  }

  return {
    async *list(subject, artifactTypes, { after, signal }: PageOptions = {}) {
      const others = [...(await scan(subject, signal)), ...(await fallback(subject))];
      const digests = await indexed(subject, after);
      for (const digest of others) if (after === undefined || digest > after) digests.add(digest);
      for (const digest of [...digests].sort()) {
        const descriptor = await describe(digest, subject);
        if (descriptor === undefined) continue;
        if (artifactTypes.length === 0 || artifactTypes.includes(descriptor.artifactType ?? '')) yield descriptor;
      }
    },
  };
}
