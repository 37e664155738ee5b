import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Digest } from '../../oci/digest.ts';
import { parseRepositoryName, parseTag, type RepositoryName, type Tag } from '../../oci/name.ts';
import type { Registry, Repository } from '../../registry/registry.ts';
import { createStorageRegistry, type StorageRegistryOptions } from '../../registry/storage-registry.ts';
import { defaultValidation } from '../../registry/validation.ts';
import { Downloads } from '../downloads/downloads.ts';
import type { Mark, Marks } from '../marks.ts';
import { createMirror, type MirrorOptions } from '../mirror.ts';
import { createUpstreamClient, type UpstreamClientOptions } from '../upstream/client.ts';
import type { MirrorEvent, MirrorFault, Upstream } from '../upstream.ts';

export interface MirrorSettings {
  readonly upstream?: Partial<Upstream>;
  readonly client?: Partial<UpstreamClientOptions>;
  readonly mirror?: Partial<MirrorOptions>;
  readonly maxDownloads?: number;
  readonly maxSize?: number;
  /** Default: one that is there. */
  readonly spool?: string;
}

export interface TestMirror {
  readonly registry: Registry;
  readonly hosted: Registry;
  readonly store: Registry;
  readonly downloads: Downloads;
  /** By `name:tag`. */
  readonly marks: Map<string, Mark>;
  /** The same, for another mirror over the same storage. */
  readonly shared: Marks;
  readonly events: MirrorEvent[];
  readonly faults: MirrorFault[];
  /** What it takes for the time, in milliseconds since 1970. */
  now: number;
  repository(name: string): Repository;
}

/** A mirror of one upstream, `docker.io` and the default, over a storage. */
export async function mirrorOver(
  driver: StorageRegistryOptions['driver'],
  urls: readonly string[],
  settings: MirrorSettings = {},
): Promise<TestMirror> {
  const folder = await mkdtemp(join(tmpdir(), 'berth-mirror-test-'));
  const marks = new Map<string, Mark>();
  const claimed = new Set<RepositoryName>();
  const brought = new Set<Digest>();
  const shared: Marks = {
    get: async (name, tag: Tag) => marks.get(`${name}:${tag}`),
    put: async (name, tag, mark) => {
      marks.set(`${name}:${tag}`, mark);
    },
    isClaimed: async (name) => claimed.has(name),
    claim: async (name) => {
      claimed.add(name);
    },
    withdraw: async (name) => {
      claimed.delete(name);
    },
    isBrought: async (digest) => brought.has(digest),
    bring: async (digest) => {
      brought.add(digest);
    },
  };
  const client = createUpstreamClient({
    name: 'docker.io',
    endpoints: urls.map((url) => ({ url })),
    userAgent: 'berth-test',
    ...settings.client,
  });
  const upstream: Upstream = {
    name: 'docker.io',
    aliases: [],
    prefix: 'docker.io',
    isDefault: true,
    client,
    admits: () => true,
    revalidate: 60_000,
    maxStale: 3_600_000,
    patience: 60_000,
    ...settings.upstream,
  };
  const { maxDownloads: max = 10, maxSize, spool = join(folder, 'spool') } = settings;
  const downloads = new Downloads({ folder: spool, max, maxSize, onEnd: () => {} });
  const hosted = createStorageRegistry({ driver });
  const store = createStorageRegistry({ driver, validation: { ...defaultValidation, references: false } });
  const events: MirrorEvent[] = [];
  const faults: MirrorFault[] = [];
  onTestFinished(async () => {
    await downloads.close();
    await client.close();
    await rm(folder, { recursive: true, force: true });
  });
  const mirror: TestMirror = {
    now: Date.now(),
    hosted,
    store,
    downloads,
    marks,
    shared,
    events,
    faults,
    repository: (name) => mirror.registry.repository(parseRepositoryName(name)),
    registry: createMirror({
      hosted,
      store,
      upstreams: [upstream],
      downloads,
      marks: shared,
      onEvent: (event) => events.push(event),
      onFault: (fault) => faults.push(fault),
      now: () => mirror.now,
      ...settings.mirror,
    }),
  };
  return mirror;
}

export const latest = parseTag('latest');
