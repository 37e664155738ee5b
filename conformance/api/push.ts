import { blob, type Content, descriptor, image, mediaTypes } from '../harness/content.ts';
import type { Reply, RequestOptions } from '../harness/http-client.ts';
import { expectStatus, locationOf } from './expectations.ts';
import type { Registry } from './registry.ts';

/** Appends a query to a URL that may have one already, as clients do with an upload location. */
export function withQuery(location: string, query: string): string {
  return `${location}${location.includes('?') ? '&' : '?'}${query}`;
}

/** Opens an upload session. @returns its location, as a path with query */
export async function startUpload(registry: Registry, repository: string): Promise<string> {
  const reply = await registry.request('POST', `/v2/${repository}/blobs/uploads/`);
  expectStatus(reply, 202);
  return locationOf(reply);
}

/** Pushes a blob in the way of containerd and oras: POST, then PUT with the whole of it. */
export async function pushBlob(registry: Registry, repository: string, content: Content = blob()): Promise<Content> {
  const location = await startUpload(registry, repository);
  const target = withQuery(location, `digest=${content.digest}`);
  expectStatus(await registry.request('PUT', target, { body: content.bytes }), 201);
  return content;
}

/** Sends a manifest; any answer will do. */
export function putManifest(
  registry: Registry,
  repository: string,
  reference: string,
  content: Content,
  options: RequestOptions & { query?: string } = {},
): Promise<Reply> {
  const { query = '', headers = {}, body = content.bytes } = options;
  return registry.request('PUT', `/v2/${repository}/manifests/${reference}${query}`, {
    headers: { 'Content-Type': content.mediaType, ...headers },
    body,
  });
}

/** Pushes a manifest, under its digest if no tag is given. */
export async function pushManifest(
  registry: Registry,
  repository: string,
  content: Content,
  reference: string = content.digest,
): Promise<Content> {
  expectStatus(await putManifest(registry, repository, reference, content), 201);
  return content;
}

export interface PushedImage {
  readonly manifest: Content;
  readonly config: Content;
  readonly layer: Content;
}

/** Pushes a new image with one layer, under its digest if no tag is given. `fields` are laid over its manifest. */
export async function pushImage(
  registry: Registry,
  repository: string,
  tag?: string,
  fields: object = {},
): Promise<PushedImage> {
  const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config));
  const layer = await pushBlob(registry, repository);
  const manifest = image(descriptor(config), [descriptor(layer)], fields);
  await pushManifest(registry, repository, manifest, tag);
  return { manifest, config, layer };
}
