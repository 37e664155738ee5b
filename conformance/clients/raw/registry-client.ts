import { type Content, mediaTypes } from '../../harness/content.ts';
import {
  createHttpClient,
  type HttpClientOptions,
  type Reply,
  type RequestOptions,
} from '../../harness/http-client.ts';
import type { Artifact } from './artifact.ts';

/** How a blob is sent, as the known clients do it. */
export type BlobPush =
  /** POST, then PUT with everything (oras, containerd). */
  | 'whole'
  /** POST, one PATCH without Content-Range, empty PUT (docker, skopeo, crane). */
  | 'stream'
  /** POST, PATCHes with Content-Range, PUT with the last part (regclient). */
  | 'chunks';

/** The smallest client of a registry: what is not expected is an error that shows the reply. */
export interface RegistryClient {
  readonly url: string;
  request(method: string, target: string, options?: RequestOptions): Promise<Reply>;
  /** As `request`. @throws Error unless the reply has this status */
  expect(status: number, method: string, target: string, options?: RequestOptions): Promise<Reply>;
  /** Opens an upload. @returns its location */
  startUpload(repository: string): Promise<string>;
  pushBlob(repository: string, blob: Content, how?: BlobPush): Promise<void>;
  pushManifest(repository: string, reference: string, manifest: Content): Promise<void>;
  /** Pushes all of an artifact, the manifest last. @param reference default: by digest only */
  push(repository: string, artifact: Artifact, reference?: string): Promise<void>;
  getManifest(repository: string, reference: string): Promise<Reply>;
  getBlob(repository: string, digest: string): Promise<Reply>;
  /** All tags. @param n entries of a page; default: what the registry gives unasked */
  tags(repository: string, n?: number): Promise<string[]>;
  /** All repositories. */
  catalog(n?: number): Promise<string[]>;
  close(): void;
}

export function createRegistryClient(url: string, options?: HttpClientOptions): RegistryClient {
  const http = createHttpClient(url, { followToStorage: true, ...options });

  async function expect(status: number, method: string, target: string, options?: RequestOptions): Promise<Reply> {
    const reply = await http.request(method, target, options);
    if (reply.status !== status) throw new Error(`${reply}, expected ${status}`);
    return reply;
  }

  async function startUpload(repository: string): Promise<string> {
    return locationOf(await expect(202, 'POST', `/v2/${repository}/blobs/uploads/`));
  }

  async function pushBlob(repository: string, { bytes, digest }: Content, how: BlobPush = 'whole'): Promise<void> {
    let location = await startUpload(repository);
    let sent = 0;
    const patch = async (end: number, headers: Record<string, string> = {}) => {
      const body = bytes.subarray(sent, end);
      location = locationOf(await expect(202, 'PATCH', location, { headers: { ...octets, ...headers }, body }));
      sent = end;
    };
    if (how === 'stream') await patch(bytes.length);
    if (how === 'chunks') {
      const size = Math.max(1, Math.floor(bytes.length / 3));
      while (sent + size < bytes.length) await patch(sent + size, { 'Content-Range': `${sent}-${sent + size - 1}` });
    }
    await expect(201, 'PUT', withDigest(location, digest), { headers: octets, body: bytes.subarray(sent) });
  }

  async function pushManifest(repository: string, reference: string, manifest: Content): Promise<void> {
    const headers = { 'Content-Type': manifest.mediaType };
    await expect(201, 'PUT', `/v2/${repository}/manifests/${reference}`, { headers, body: manifest.bytes });
  }

  async function push(repository: string, artifact: Artifact, reference = artifact.manifest.digest): Promise<void> {
    for (const blob of artifact.blobs) await pushBlob(repository, blob);
    for (const child of artifact.children) await push(repository, child);
    await pushManifest(repository, reference, artifact.manifest);
  }

  async function entries(path: string, field: string, n: number | undefined): Promise<string[]> {
    const all: string[] = [];
    let next: string | undefined = n === undefined ? path : `${path}?n=${n}`;
    while (next !== undefined) {
      const page: Reply = await expect(200, 'GET', next);
      all.push(...((page.json() as Record<string, string[]>)[field] ?? []));
      next = /<([^>]+)>; *rel="next"/.exec(page.header('Link') ?? '')?.[1];
    }
    return all;
  }

  return {
    url,
    request: http.request,
    expect,
    startUpload,
    pushBlob,
    pushManifest,
    push,
    getManifest: (repository, reference) =>
      http.request('GET', `/v2/${repository}/manifests/${reference}`, { headers: { Accept: acceptManifests } }),
    getBlob: (repository, digest) => http.request('GET', `/v2/${repository}/blobs/${digest}`),
    tags: (repository, n) => entries(`/v2/${repository}/tags/list`, 'tags', n),
    catalog: (n) => entries('/v2/_catalog', 'repositories', n),
    close: http.close,
  };
}

/** So that a registry which negotiates answers with what was pushed. */
export const acceptManifests = [mediaTypes.image, mediaTypes.index, mediaTypes.dockerImage, mediaTypes.dockerList].join(
  ', ',
);

const octets = { 'Content-Type': 'application/octet-stream' };

/** @throws Error when there is none */
export function locationOf(reply: Reply): string {
  const location = reply.header('Location');
  if (location === undefined) throw new Error(`${reply}: no Location`);
  return location;
}

/** An upload location with the digest that ends it. */
export function withDigest(location: string, digest: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}digest=${digest}`;
}
