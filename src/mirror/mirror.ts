import { LRUCache } from 'lru-cache';
import { RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Blob, Registry, Repository } from '../registry/registry.ts';
import { MirroredBlobs } from './blobs.ts';
import type { Downloads } from './downloads/downloads.ts';
import { unlessUnknown } from './faults.ts';
import { MirroredManifests } from './manifests.ts';
import type { Marks } from './marks.ts';
import { type Mirrored, Names } from './naming.ts';
import { MirroredReferrers } from './referrers.ts';
import { UpstreamSlots } from './slots.ts';
import { MirroredTags } from './tags.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, MirrorFault, Sent, Upstream } from './upstream.ts';

export interface MirrorOptions {
  /** What clients push to. Where it has a repository, no upstream is asked for that name. */
  readonly hosted: Registry;
  /** The same storage, taking manifests whose parts are not there: they come when they are asked for. */
  readonly store: Registry;
  readonly upstreams: readonly Upstream[];
  readonly downloads: Downloads;
  readonly marks: Marks;
  /** Whether what is kept is served as it is, and nobody is asked and nothing is kept. Default: false. */
  readonly offline?: boolean;
  /** What an upstream is asked at once, without the blobs that come: who has one more question waits. Default: 64. */
  readonly maxQuestions?: number;
  readonly onEvent: (event: MirrorEvent) => void;
  /** Told of each answer that begins. Default: nobody. */
  readonly onSent?: (sent: Sent) => void;
  readonly onFault: (fault: MirrorFault) => void;
  readonly now?: () => number;
}

/** How long after the last request of a push no upstream is asked for its name, in milliseconds. */
const pushTime = 600_000;

/**
 * A registry that also has what its upstreams have. What has come from one is kept under its prefix in the ordinary layout,
 * and served from there.
 *
 * What is hosted comes first: under a prefix that is what was there before the mirror; without one, every name that has a
 * manifest, and every name that something is being pushed to, as a client that asks for a manifest then wants to know whether
 * it has pushed it.
 */
export function createMirror(options: MirrorOptions): Registry {
  const { store, upstreams, downloads, marks, offline = false, maxQuestions = 64, now = Date.now } = options;
  const { onEvent, onSent = () => undefined, onFault } = options;
  const names = new Names(upstreams);
  const hosted = mountingOnly(options.hosted, isServed);
  const slots = new UpstreamSlots(maxQuestions);
  const manifests = new MirroredManifests({ store, marks, slots, now, onEvent, onFault });
  const blobs = new MirroredBlobs({ store, marks, downloads, slots, onEvent, onFault });
  const tags = new MirroredTags({ slots, onEvent });
  const referrers = new MirroredReferrers({ slots, onEvent });
  /** Names without a prefix. */
  const pushed = new LRUCache<RepositoryName, true>({ max: 10_000, ttl: pushTime });

  /**
   * Whether a repository under the prefix of an upstream is not the mirror's, but was pushed before the prefix was one: the
   * mirror claims each of its repositories before it keeps anything there. One with manifests that nobody has claimed is hosted.
   */
  async function isHosted(name: RepositoryName): Promise<boolean> {
    return !(await marks.isClaimed(name)) && hosted.repository(name).manifests.any();
  }

  /** Whether anything can be had of a repository, as it is kept: not of one that is denied. */
  async function isServed(name: RepositoryName): Promise<boolean> {
    const mirrored = names.ofPrefix(name);
    return mirrored === undefined || mirrored.upstream.admits(mirrored.remote) || isHosted(name);
  }

  function mirroredRepository(mirrored: Mirrored<Upstream>): Repository {
    const { upstream, remote, local } = mirrored;
    const kept = hosted.repository(local);
    const readOnly = withoutPushes(kept, upstream);
    if (!upstream.admits(remote)) return withNothing(readOnly, `${upstream.name}/${remote} is not mirrored here`);
    if (offline) return readOnly;
    const { stat, get } = blobs.of(mirrored);
    const sent = (bytes: number) => onSent({ upstream: upstream.name, kind: 'blob', bytes });
    return {
      ...readOnly,
      blobs: { ...readOnly.blobs, stat, get: async (...asked) => told(await get(...asked), sent) },
      manifests: {
        ...readOnly.manifests,
        async get(reference, signal) {
          const manifest = await manifests.get(mirrored, reference, signal);
          onSent({ upstream: upstream.name, kind: 'manifest', bytes: manifest.content.length });
          return manifest;
        },
      },
      tags: { ...kept.tags, list: tags.list(mirrored, kept.tags) },
      referrers: { list: referrers.list(mirrored, kept.referrers) },
    };
  }

  /** What is kept of an upstream, for whoever means another registry. */
  function unknownTo({ upstream, local }: Mirrored<Upstream>, namespace: string): Repository {
    const message = `${local} is a mirror of ${upstream.name}, and not of ${namespace}`;
    return withNothing(withoutPushes(hosted.repository(local), upstream), message);
  }

  /** A name under a prefix: of the upstream, unless something was pushed there before. */
  function unlessHosted(mirrored: Mirrored<Upstream>, other = mirroredRepository(mirrored)): Repository {
    const own = hosted.repository(mirrored.local);
    const pick = async () => ((await isHosted(mirrored.local)) ? own : other);
    return chosenBy(mirrored.local, pick);
  }

  /** A name without a prefix: hosted, if anything is there, else of the default upstream. */
  function hostedOr(name: RepositoryName, mirrored: Mirrored<Upstream>): Repository {
    const own = hosted.repository(name);
    const other = mirroredRepository(mirrored);
    const pick = async () => (pushed.has(name) || (await own.manifests.any()) ? own : other);
    const chosen = chosenBy(name, pick);
    const push =
      <Asked extends readonly unknown[], T>(method: (...asked: Asked) => T) =>
      (...asked: Asked): T => {
        pushed.set(name, true);
        return method(...asked);
      };
    return {
      name,
      blobs: {
        // Whoever asks just whether it is there is about to push: a push needs no upstream, and must have its blobs here.
        ...own.blobs,
        mount: push(own.blobs.mount),
        async get(digest, signal) {
          try {
            return await chosen.blobs.get(digest, signal);
          } catch (error) {
            // Another process may have taken it of a push.
            const pushed = await unlessUnknown(own.blobs.get(digest, signal), 'BLOB_UNKNOWN');
            if (pushed !== undefined) return pushed;
            throw error;
          }
        },
      },
      uploads: { create: push(own.uploads.create), put: push(own.uploads.put), find: push(own.uploads.find) },
      manifests: {
        ...own.manifests,
        put: push(own.manifests.put),
        async get(reference, signal, isHead) {
          try {
            return await chosen.manifests.get(reference, signal);
          } catch (error) {
            // Whoever asks just whether it is there may be about to push, which needs no upstream. Most who want it ask with
            // GET next, and are told; containerd does not, but says with `ns` whom it means.
            if (isHead !== true || !(error instanceof RegistryError) || !isAway(error.cause)) throw error;
            const { message, cause } = error;
            throw new RegistryError('MANIFEST_UNKNOWN', { message, detail: { name, reference }, cause });
          }
        },
      },
      tags: { ...own.tags, list: chosen.tags.list },
      referrers: chosen.referrers,
    };
  }

  return {
    repositories: (page) => hosted.repositories(page),

    repository(name, namespace) {
      const named = namespace === undefined ? undefined : names.ofNamespace(namespace, name);
      const mirrored = named ?? names.ofPrefix(name);
      if (namespace !== undefined && named === undefined) {
        // Whoever means a registry that is not mirrored here must not get what another one has under that name, nor change it.
        return mirrored === undefined
          ? hosted.repository(name)
          : unlessHosted(mirrored, unknownTo(mirrored, namespace));
      }
      // Without a prefix what is kept here and what is hosted here cannot be told apart: all of it is the upstream's.
      if (mirrored !== undefined) {
        return mirrored.upstream.prefix === '' ? mirroredRepository(mirrored) : unlessHosted(mirrored);
      }
      const byDefault = names.ofDefault(name);
      if (byDefault === undefined) return hosted.repository(name);
      return byDefault.upstream.prefix === '' ? mirroredRepository(byDefault) : hostedOr(name, byDefault);
    },
  };
}

/** A registry whose blobs are mounted from where they could be pulled as well. */
function mountingOnly(registry: Registry, isServed: (from: RepositoryName) => Promise<boolean>): Registry {
  return {
    repositories: (page) => registry.repositories(page),
    repository(name) {
      const own = registry.repository(name);
      const mount: Repository['blobs']['mount'] = (digest, from, readable) =>
        own.blobs.mount(digest, from, async (source) => (await readable(source)) && isServed(source));
      return { ...own, blobs: { ...own.blobs, mount } };
    },
  };
}

/** A blob that tells how many bytes of it are given out, when it begins. */
function told(blob: Blob, tell: (bytes: number) => void): Blob {
  return {
    ...blob,
    async open(range, signal) {
      const content = await blob.open(range, signal);
      tell(content.size);
      return content;
    },
    async redirectUrl(signal) {
      const url = await blob.redirectUrl(signal);
      if (url !== undefined) tell(blob.descriptor.size);
      return url;
    },
  };
}

/** A repository that has what another one has, which is chosen with each request. */
function chosenBy(name: RepositoryName, pick: () => Promise<Repository>): Repository {
  return {
    name,
    blobs: {
      stat: async (...asked) => (await pick()).blobs.stat(...asked),
      get: async (...asked) => (await pick()).blobs.get(...asked),
      mount: async (...asked) => (await pick()).blobs.mount(...asked),
      adopt: async (...asked) => (await pick()).blobs.adopt(...asked),
      delete: async (...asked) => (await pick()).blobs.delete(...asked),
    },
    uploads: {
      create: async (...asked) => (await pick()).uploads.create(...asked),
      put: async (...asked) => (await pick()).uploads.put(...asked),
      find(id) {
        const find = async () => (await pick()).uploads.find(id);
        return {
          id,
          size: async () => (await find()).size(),
          append: async (...asked) => (await find()).append(...asked),
          commit: async (...asked) => (await find()).commit(...asked),
          cancel: async () => (await find()).cancel(),
        };
      },
    },
    manifests: {
      get: async (...asked) => (await pick()).manifests.get(...asked),
      any: async (...asked) => (await pick()).manifests.any(...asked),
      put: async (...asked) => (await pick()).manifests.put(...asked),
      delete: async (...asked) => (await pick()).manifests.delete(...asked),
    },
    tags: {
      async *list(...asked) {
        yield* (await pick()).tags.list(...asked);
      },
      delete: async (...asked) => (await pick()).tags.delete(...asked),
    },
    referrers: {
      async *list(...asked) {
        yield* (await pick()).referrers.list(...asked);
      },
    },
  };
}

function withoutPushes(repository: Repository, { name }: Upstream): Repository {
  const message = `${repository.name} is a mirror of ${name}: push there, or under another name`;
  const refuse = async (): Promise<never> => {
    throw new RegistryError('UNSUPPORTED', { message });
  };
  return {
    ...repository,
    blobs: { ...repository.blobs, mount: refuse },
    uploads: {
      create: refuse,
      put: refuse,
      find: (id) => ({ id, size: refuse, append: refuse, commit: refuse, cancel: refuse }),
    },
    manifests: { ...repository.manifests, put: refuse },
  };
}

/** A repository that nothing can be had from, not even what was kept before it was denied. */
function withNothing(repository: Repository, message: string): Repository {
  const unknown = (code: 'BLOB_UNKNOWN' | 'MANIFEST_UNKNOWN' | 'NAME_UNKNOWN') => async (): Promise<never> => {
    throw new RegistryError(code, { message });
  };
  return {
    ...repository,
    blobs: { ...repository.blobs, stat: unknown('BLOB_UNKNOWN'), get: unknown('BLOB_UNKNOWN') },
    manifests: { ...repository.manifests, get: unknown('MANIFEST_UNKNOWN') },
    tags: {
      ...repository.tags,
      // biome-ignore lint/correctness/useYield: there is nothing to give.
      async *list() {
        await unknown('NAME_UNKNOWN')();
      },
    },
    referrers: { async *list() {} },
  };
}

/** Whether an upstream could not be asked, or wants not to be. */
function isAway(error: unknown): boolean {
  return isUpstreamError(error, 'unreachable') || isUpstreamError(error, 'throttled');
}
