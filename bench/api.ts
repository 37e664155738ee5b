import { createHash } from 'node:crypto';

/**
 * The few calls of the distribution protocol that fill a registry and look whether it answers right. They are never
 * timed.
 */

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';

export function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}

/** Sends a request and insists on the status. The body of the answer is left to the caller. */
async function call(url: string, status: number, init: RequestInit, signal: AbortSignal): Promise<Response> {
  const answer = await fetch(url, { ...init, redirect: 'manual', signal });
  if (answer.status === status) return answer;
  const text = (await answer.text()).slice(0, 500);
  throw new Error(`${init.method ?? 'GET'} ${url} answers ${answer.status} where ${status} is due: ${text}`);
}

export async function pushBlob(base: string, repository: string, content: Uint8Array, signal: AbortSignal) {
  const begun = await call(`${base}/v2/${repository}/blobs/uploads/`, 202, { method: 'POST' }, signal);
  await begun.arrayBuffer();
  const location = new URL(begun.headers.get('location') ?? '', `${base}/`);
  location.searchParams.set('digest', digestOf(content));
  const headers = { 'content-type': 'application/octet-stream' };
  const done = await call(location.href, 201, { method: 'PUT', headers, body: content }, signal);
  await done.arrayBuffer();
}

export async function pushManifest(
  base: string,
  repository: string,
  reference: string,
  content: Uint8Array,
  signal: AbortSignal,
) {
  const url = `${base}/v2/${repository}/manifests/${reference}`;
  const headers = { 'content-type': manifestType };
  const done = await call(url, 201, { method: 'PUT', headers, body: content }, signal);
  await done.arrayBuffer();
}

/** Fetches content and insists that it is what `digest` names. @returns its size in bytes */
export async function expectContent(url: string, digest: string, signal: AbortSignal): Promise<number> {
  const answer = await call(url, 200, { headers: { accept: `${manifestType}, */*` } }, signal);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of answer.body ?? []) {
    hash.update(chunk);
    size += chunk.length;
  }
  const found = `sha256:${hash.digest('hex')}`;
  if (found !== digest)
    throw new Error(`GET ${url} answers other bytes: ${found} (${size} bytes) instead of ${digest}`);
  return size;
}

/** Asks by HEAD and insists on the headers that clients decide by. */
export async function expectHead(url: string, digest: string, size: number, signal: AbortSignal) {
  const { headers } = await call(url, 200, { method: 'HEAD', headers: { accept: manifestType } }, signal);
  const found = [headers.get('docker-content-digest'), headers.get('content-length')];
  if (found[0] !== digest || found[1] !== String(size)) {
    throw new Error(`HEAD ${url} answers ${found.join(', ')} bytes instead of ${digest}, ${size} bytes`);
  }
}

/** The strings under `key` of a JSON answer, e.g. `tags`. */
export async function listOf(url: string, key: string, signal: AbortSignal): Promise<string[]> {
  const body: unknown = await (await call(url, 200, {}, signal)).json();
  const list = typeof body === 'object' && body !== null ? Reflect.get(body, key) : undefined;
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  throw new Error(`GET ${url} answers no list of ${key}`);
}
