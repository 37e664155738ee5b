import type { Descriptor } from '../../oci/descriptor.ts';
import type { Digest } from '../../oci/digest.ts';
import { readStoredManifest } from '../../oci/manifest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import type { RepositoryName } from '../../oci/name.ts';
import type { Reference } from '../../oci/reference.ts';
import type { Manifest } from '../../registry/registry.ts';
import type { CredentialsSource } from './authorization.ts';
import { headBlob, openBlob, type UpstreamBlob } from './blobs.ts';
import type { BreakerOptions, BreakerState } from './breaker.ts';
import { Endpoint } from './endpoint.ts';
import { isUpstreamError, UpstreamError } from './errors.ts';
import type { UpstreamEvent } from './events.ts';
import type { Timeouts } from './http.ts';
import { listReferrers, listTags, referrersTag, type Tags, type TagsPage } from './lists.ts';
import { getManifest, headManifest } from './manifests.ts';
import type { Proxies } from './proxies.ts';
import type { RateLimit } from './rate-limit.ts';
import { isSameSite } from './realm.ts';

export interface EndpointConfiguration {
  /** `https://registry-1.docker.io`; a path stands before `/v2`, or holds it and what names begin with there. */
  readonly url: string;
  /** Certificates in PEM that are trusted beside the usual ones. */
  readonly ca?: string | undefined;
  /** Of this endpoint; otherwise see {@link UpstreamClientOptions.credentials}. */
  readonly credentials?: CredentialsSource;
}

export interface UpstreamClientOptions {
  /** For errors, e.g. `docker.io`. */
  readonly name: string;
  /** In the order in which they are asked: accelerators first, the origin last. Not empty. */
  readonly endpoints: readonly EndpointConfiguration[];
  /** Of the origin, the last endpoint; other endpoints get them only if they are taken to have the same owner. */
  readonly credentials?: CredentialsSource;
  readonly userAgent: string;
  /** Default: none; this machine is reached without. */
  readonly proxies?: Proxies;
  /** Default: 10 s, 30 s, 60 s. */
  readonly timeouts?: Partial<Timeouts>;
  /** Hosts of token servers beside those on the site of an endpoint: `auth.example.com`, with or without port, `*.example.com`. */
  readonly realmHosts?: readonly string[];
  /** Of a manifest or list, in bytes. Default: 4 MiB, as the specification recommends. */
  readonly maxManifestSize?: number;
  readonly breaker?: Omit<BreakerOptions, 'now' | 'onChange'>;
  readonly onEvent?: (event: UpstreamEvent) => void;
  readonly now?: () => number;
}

export interface OpenBlobOptions {
  /** The first byte that is wanted. Default: 0 */
  readonly start?: number;
  /** URLs of endpoints that have given a wrong one; they are asked only when there is no other, and then in this order. */
  readonly avoid?: ReadonlySet<string>;
}

export interface UpstreamStatus {
  readonly name: string;
  readonly endpoints: readonly {
    readonly url: string;
    readonly breaker: BreakerState;
    /** What it said last. */
    readonly rateLimit: RateLimit | undefined;
  }[];
}

/**
 * One upstream registry, read only. Every method asks the endpoints in their order until one has what is wanted; where
 * none has, it throws what the last one said, with the errors of the others in `previous`: the origin knows best what there is.
 *
 * Every method throws UpstreamError, or the reason of its signal.
 */
export interface UpstreamClient {
  readonly name: string;

  /** What a manifest is, without its bytes. Docker Hub does not count this. Nothing of it is verified. @param accept media types */
  headManifest(
    repository: RepositoryName,
    reference: Reference,
    accept: readonly string[],
    signal?: AbortSignal,
  ): Promise<Descriptor>;

  /** A manifest, with its digest and its type verified. @param accept media types */
  getManifest(
    repository: RepositoryName,
    reference: Reference,
    accept: readonly string[],
    signal?: AbortSignal,
  ): Promise<Manifest>;

  /**
   * The bytes of a blob, from `start` on, as they come: it is the caller who verifies the digest. Once it has resolved no other
   * endpoint is asked; whose body breaks off may open it anew where that ended.
   */
  openBlob(
    repository: RepositoryName,
    digest: Digest,
    options?: OpenBlobOptions,
    signal?: AbortSignal,
  ): Promise<UpstreamBlob>;

  /** That the upstream has a blob in this repository, and its size in bytes; undefined: it does not say. */
  headBlob(repository: RepositoryName, digest: Digest, signal?: AbortSignal): Promise<number | undefined>;

  /** What has `digest` as its subject; also of registries that keep the list under a tag. */
  listReferrers(repository: RepositoryName, digest: Digest, signal?: AbortSignal): Promise<readonly Descriptor[]>;

  /** One page. With several endpoints a page may come from another one than that before. */
  listTags(repository: RepositoryName, page?: TagsPage, signal?: AbortSignal): Promise<Tags>;

  status(): UpstreamStatus;

  /** Ends what is under way. */
  close(): Promise<void>;
}

const defaultTimeouts: Timeouts = { connect: 10_000, head: 30_000, idle: 60_000 };

/** Sends nothing, so it does no harm that an upstream is down. @throws TypeError when there is no endpoint, or its URL is none; Error when certificates cannot be read */
export function createUpstreamClient(options: UpstreamClientOptions): UpstreamClient {
  const { name, maxManifestSize: maxSize = 4 * 1024 * 1024, onEvent = () => undefined } = options;
  const endpoints = endpointsOf(options, onEvent);

  async function firstOf<T>(ask: (endpoint: Endpoint) => Promise<T>, asked = endpoints): Promise<T> {
    const errors: UpstreamError[] = [];
    for (const endpoint of asked) {
      try {
        return await ask(endpoint);
      } catch (error) {
        if (!(error instanceof UpstreamError)) throw error;
        onEvent({ type: 'failure', endpoint: endpoint.url, error });
        errors.push(error);
      }
    }
    const last = errors.pop();
    last?.previous.push(...errors);
    throw last;
  }

  const manifest = (
    repository: RepositoryName,
    reference: Reference,
    accept: readonly string[],
    signal?: AbortSignal,
  ) => firstOf((endpoint) => getManifest(endpoint, { repository, reference, accept, maxSize }, signal));

  return {
    name,
    getManifest: manifest,
    headManifest: (repository, reference, accept, signal) =>
      firstOf((endpoint) => headManifest(endpoint, { repository, reference, accept, maxSize }, signal)),
    openBlob(repository, digest, { start = 0, avoid } = {}, signal) {
      const trusted = endpoints.filter(({ url }) => !avoid?.has(url));
      const distrusted = [...(avoid ?? [])].flatMap((avoided) => endpoints.filter(({ url }) => url === avoided));
      const open = (endpoint: Endpoint) => openBlob(endpoint, { repository, digest, start }, signal);
      return firstOf(open, trusted.length === 0 ? distrusted : trusted);
    },
    headBlob: (repository, digest, signal) => firstOf((endpoint) => headBlob(endpoint, { repository, digest }, signal)),
    listTags: (repository, page = {}, signal) =>
      firstOf((endpoint) => listTags(endpoint, repository, page, maxSize, signal)),

    async listReferrers(repository, digest, signal) {
      try {
        return await firstOf((endpoint) => listReferrers(endpoint, repository, digest, maxSize, signal));
      } catch (error) {
        const isUnknown = isUpstreamError(error, 'missing') || isUpstreamError(error, 'invalid');
        if (!isUnknown || ![400, 404, 405, 501].includes(error.status ?? 0)) throw error;
      }
      try {
        const { content } = await manifest(repository, referrersTag(digest), [mediaTypes.ociIndex], signal);
        return readStoredManifest(content).manifests;
      } catch (error) {
        if (isUpstreamError(error, 'missing')) return [];
        throw error;
      }
    },

    status: () => ({
      name,
      endpoints: endpoints.map(({ url, breaker, rateLimit }) => ({ url, breaker, rateLimit })),
    }),

    async close() {
      await Promise.all(endpoints.map((endpoint) => endpoint.close()));
    },
  };
}

function endpointsOf(options: UpstreamClientOptions, onEvent: (event: UpstreamEvent) => void): Endpoint[] {
  const { name: upstream, endpoints, credentials, userAgent, realmHosts = [], breaker = {}, now = Date.now } = options;
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const origin = endpoints.at(-1);
  if (origin === undefined) throw new TypeError(`upstream ${upstream} has no endpoint`);
  return endpoints.map((endpoint) => {
    const { url, ca } = endpoint;
    const isTheirs = endpoint === origin || isSameOwner(new URL(url), new URL(origin.url));
    return new Endpoint({
      url,
      ca,
      upstream,
      credentials: endpoint.credentials ?? (isTheirs ? credentials : undefined),
      userAgent,
      proxies: options.proxies,
      timeouts,
      realmHosts,
      breaker,
      onEvent,
      now,
    });
  });
}

/** What is sent to the origin over TLS is not sent to anybody without. */
function isSameOwner(url: URL, origin: URL): boolean {
  return isSameSite(url.hostname, origin.hostname) && (url.protocol === 'https:' || origin.protocol === 'http:');
}
