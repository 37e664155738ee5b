import type { ServerResponse } from 'node:http';
import { type Digest, digestOf } from '../../oci/digest.ts';
import { mediaTypes } from '../../oci/media-type.ts';
import { parseTag, type Tag } from '../../oci/name.ts';
import {
  type Handler,
  type LyingUpstream,
  sendError,
  sendManifest,
  startLyingUpstream,
} from '../upstream/testing/lying-upstream.ts';

export interface Image {
  readonly manifest: Buffer<ArrayBuffer>;
  readonly digest: Digest;
  readonly blobs: readonly Buffer[];
}

/** An image with these layers. */
export function imageOf(...layers: readonly (Buffer | string)[]): Image {
  const blobs = [Buffer.from('{}'), ...layers.map((layer) => Buffer.from(layer))];
  const [config, ...rest] = blobs.map((blob) => ({
    mediaType: 'application/octet-stream',
    digest: digestOf(blob),
    size: blob.length,
  }));
  const type = mediaTypes.ociManifest;
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, config, layers: rest }));
  return { manifest, digest: digestOf(manifest), blobs };
}

/** A registry over HTTP that has what it is given, and does what a test wants instead. */
export interface UpstreamRegistry {
  readonly url: string;
  /** Method and path behind `/v2/`, without the query. */
  readonly requests: string[];
  /** Asked first. @returns whether it has answered, or will */
  instead: (...asked: Parameters<Handler>) => boolean;
  push(repository: string, image: Image, ...tags: string[]): void;
  removeTag(repository: string, tag: string): void;
  close(): Promise<void>;
}

export async function startUpstreamRegistry(): Promise<UpstreamRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer<ArrayBuffer>>();
  const tags = new Map<string, Tag[]>();
  const requests: string[] = [];
  const server: LyingUpstream = await startLyingUpstream((request, response, url) => {
    const path = url.pathname.slice('/v2/'.length);
    requests.push(`${request.method} ${path}`);
    if (registry.instead(request, response, url)) return;
    const [, name = '', kind = '', what = ''] = /^(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(path) ?? [];
    const blob = blobs.get(`${name} ${what}`);
    const content = manifests.get(`${name} ${what}`);
    if (kind === 'tags' && tags.has(name)) response.end(JSON.stringify({ name, tags: tags.get(name) }));
    else if (kind === 'manifests' && content !== undefined) sendManifest(request, response, { content });
    else if (kind === 'blobs' && blob !== undefined) {
      sendBlob(response, blob, request.headers.range, request.method === 'HEAD');
    } else sendError(response, 404, 'UNKNOWN');
  });
  const registry: UpstreamRegistry = {
    url: server.url,
    requests,
    instead: () => false,
    push(repository, image, ...given) {
      for (const blob of image.blobs) blobs.set(`${repository} ${digestOf(blob)}`, blob);
      for (const reference of [image.digest, ...given]) manifests.set(`${repository} ${reference}`, image.manifest);
      tags.set(repository, [...(tags.get(repository) ?? []), ...given.map(parseTag)]);
    },
    removeTag: (repository, tag) => {
      manifests.delete(`${repository} ${tag}`);
    },
    close: () => server.close(),
  };
  return registry;
}

function sendBlob(response: ServerResponse, content: Buffer, range: string | undefined, isHead: boolean): void {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
  const start = Number(first ?? 0);
  const end = Math.min(Number(last || content.length - 1), content.length - 1);
  const part = content.subarray(start, end + 1);
  response.writeHead(first === undefined ? 200 : 206, {
    'content-length': part.length,
    ...(first !== undefined && { 'content-range': `bytes ${start}-${end}/${content.length}` }),
  });
  response.end(isHead ? undefined : part);
}
