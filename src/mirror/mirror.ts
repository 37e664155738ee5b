import { isRegistryError, RegistryError } from '../oci/errors.ts';
import type { RepositoryName } from '../oci/name.ts';
import type { Blob, Referrers, Registry, Repository, Tags } from '../registry/registry.ts';
import { createMirroredBlobs } from './blobs.ts';
import type { Downloads } from './downloads/downloads.ts';
import { MirroredManifests } from './manifests.ts';
import type { Marks } from './marks.ts';
import { type Mirrored, Names } from './naming.ts';
import { isUpstreamError } from './upstream/errors.ts';
import type { MirrorEvent, Sent, Upstream } from './upstream.ts';

export interface MirrorOptions {
  /** What clients push to. Where it has a repository, no upstream is asked for that name. */
  readonly hosted: Registry;
  /** The same storage, taking manifests whose parts are not there: they come when they are asked for. */
  readonly store: Registry;
  readonly upstreams: readonly Upstream[];
  readonly downloads: Downloads;
  readonly marks: Marks;
  readonly onEvent: (event: MirrorEvent) => void;
  /** Told of each answer that begins. Default: nobody. */
  readonly onSent?: (sent: Sent) => void;
  readonly now?: () => number;
}

/**
 * A registry that also has what its upstreams have. What has come from one is kept under its prefix in the ordinary layout,
 * and served from there.
 */
export function createMirror(options: MirrorOptions): Registry {
  const { hosted, store, upstreams, downloads, marks, onEvent, onSent = () => undefined, now = Date.now } = options;
  const names = new Names(upstreams);
  const manifests = new MirroredManifests({ store, marks, now, onEvent });

  function mirroredRepository(mirrored: Mirrored<Upstream>): Repository {
    const kept = hosted.repository(mirrored.local);
    const refuse = async (): Promise<never> => {
      throw new RegistryError('UNSUPPORTED', {
        message: `${mirrored.local} is a mirror of ${mirrored.upstream.name}: push there, or under another name`,
      });
    };
    const blobs = createMirroredBlobs(mirrored, { store, downloads, onEvent });
    const upstream = mirrored.upstream.name;
    return {
      name: mirrored.local,
      blobs: {
        ...kept.blobs,
        stat: blobs.stat,
        get: async (...asked) => told(await blobs.get(...asked), (bytes) => onSent({ upstream, kind: 'blob', bytes })),
        mount: refuse,
      },
      uploads: {
        create: refuse,
        put: refuse,
        find: (id) => ({ id, size: refuse, append: refuse, commit: refuse, cancel: refuse }),
      },
      manifests: {
        ...kept.manifests,
        async get(reference, signal) {
          const manifest = await manifests.get(mirrored, reference, signal);
          onSent({ upstream, kind: 'manifest', bytes: manifest.content.length });
          return manifest;
        },
        put: refuse,
      },
      tags: { ...kept.tags, list: mirroredTags(mirrored, kept.tags) },
      referrers: mirroredReferrers(mirrored, kept.referrers),
    };
  }

  /** A name without a prefix: hosted, if anything is there, else of the default upstream. */
  function hostedOr(name: RepositoryName, mirrored: Mirrored<Upstream>): Repository {
    const own = hosted.repository(name);
    const other = mirroredRepository(mirrored);
    const pick = async () => ((await isHosted(own)) ? own : other);
    return {
      ...own,
      blobs: {
        // Whoever asks just whether it is there is about to push: a push needs no upstream, and must have its blobs here.
        ...own.blobs,
        get: async (...asked) => (await pick()).blobs.get(...asked),
      },
      manifests: {
        ...own.manifests,
        get: async (...asked) => (await pick()).manifests.get(...asked),
      },
      tags: {
        ...own.tags,
        async *list(...asked) {
          yield* (await pick()).tags.list(...asked);
        },
      },
      referrers: {
        async *list(...asked) {
          yield* (await pick()).referrers.list(...asked);
        },
      },
    };
  }

  return {
    repositories: (page) => hosted.repositories(page),

    repository(name, namespace) {
      const named = namespace === undefined ? undefined : names.ofNamespace(namespace, name);
      // Whoever means a registry that is not mirrored here must not get what another one has under that name.
      if (namespace !== undefined && named === undefined) return hosted.repository(name);
      const prefixed = named ?? names.ofPrefix(name);
      if (prefixed !== undefined) return mirroredRepository(prefixed);
      const byDefault = names.ofDefault(name);
      if (byDefault === undefined) return hosted.repository(name);
      // Without a prefix what is kept here and what is hosted here cannot be told apart: all of it is the upstream's.
      return byDefault.upstream.prefix === '' ? mirroredRepository(byDefault) : hostedOr(name, byDefault);
    },
  };
}

/** A blob that tells how many bytes of it are given out, when it begins. */
function told(blob: Blob, tell: (bytes: number) => void): Blob {
  return {
    descriptor: blob.descriptor,
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

async function isHosted({ tags }: Repository): Promise<boolean> {
  try {
    for await (const _ of tags.list({ limit: 1 })) return true;
    return true;
  } catch (error) {
    if (isRegistryError(error, 'NAME_UNKNOWN')) return false;
    throw error;
  }
}

/** What the upstream has; what is kept, when it cannot be asked. */
function mirroredTags({ upstream, remote }: Mirrored<Upstream>, kept: Tags): Tags['list'] {
  return async function* list(options = {}) {
    const { after, limit, signal } = options;
    let begun = false;
    try {
      let page = await upstream.client.listTags(
        remote,
        { ...(limit !== undefined && { n: limit }), ...(after !== undefined && { last: after }) },
        signal,
      );
      for (;;) {
        begun = true;
        // Not all registries heed `last`.
        for (const tag of page.tags) if (after === undefined || tag > after) yield tag;
        if (page.next === undefined) return;
        page = await upstream.client.listTags(remote, { next: page.next }, signal);
      }
    } catch (error) {
      if (!isUpstreamError(error) || begun) throw error;
      yield* kept.list(options);
    }
  };
}

function mirroredReferrers({ upstream, remote }: Mirrored<Upstream>, kept: Referrers): Referrers {
  return {
    async *list(subject, artifactTypes, options = {}) {
      try {
        const { after, signal } = options;
        const found = await upstream.client.listReferrers(remote, subject, signal);
        const wanted = found.filter(
          ({ digest, artifactType = '' }) =>
            (after === undefined || digest > after) &&
            (artifactTypes.length === 0 || artifactTypes.includes(artifactType)),
        );
        yield* wanted.sort((a, b) => (a.digest < b.digest ? -1 : 1));
      } catch (error) {
        if (!isUpstreamError(error)) throw error;
        yield* kept.list(subject, artifactTypes, options);
      }
    },
  };
}
