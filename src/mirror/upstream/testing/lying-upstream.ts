import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type Digest, digestOf } from '../../../oci/digest.ts';
import { mediaTypes } from '../../../oci/media-type.ts';
import { parseRepositoryName, parseTag } from '../../../oci/name.ts';
import { createUpstreamClient, type UpstreamClient, type UpstreamClientOptions } from '../client.ts';
import type { Timeouts } from '../http.ts';

export interface ReceivedRequest {
  readonly method: string;
  /** With the query. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
}

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A server on 127.0.0.1 that says whatever a test wants. */
export interface LyingUpstream {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  readonly requests: readonly ReceivedRequest[];
  /** What it says from now on. Default: 404 */
  handler: Handler;
  close(): Promise<void>;
}

export async function startLyingUpstream(
  handler: Handler = (_, response) => response.writeHead(404).end(),
  tls?: { readonly key: string; readonly cert: string },
): Promise<LyingUpstream> {
  const requests: ReceivedRequest[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url: target = '', headers } = request;
    requests.push({ method, target, headers });
    upstream.handler(request, response, new URL(target, 'http://upstream'));
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const upstream: LyingUpstream = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    requests,
    handler,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return upstream;
}

/** Time-outs that a test can wait for. A machine that does something else may be late, so only for tests of what is late. */
export const impatient: Timeouts = { connect: 5_000, head: 200, idle: 200 };

export function clientOf(
  upstreams: readonly { readonly url: string }[],
  options: Partial<UpstreamClientOptions> = {},
): UpstreamClient {
  return createUpstreamClient({
    name: 'upstream',
    endpoints: upstreams.map(({ url }) => ({ url })),
    userAgent: 'berth-test',
    ...options,
  });
}

export const repository = parseRepositoryName('library/app');
export const latest = parseTag('latest');
export const accept = [mediaTypes.ociManifest, mediaTypes.ociIndex];

const part = (text: string) => ({ mediaType: 'application/x', digest: digestOf(Buffer.from(text)), size: text.length });
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config: part('{}'), layers: [part('layer')] };
/** A manifest as a registry has it. */
export const manifest = Buffer.from(JSON.stringify(image));
export const manifestDigest = digestOf(manifest);

/** Answers as a good registry does. */
export function sendManifest(
  request: IncomingMessage,
  response: ServerResponse,
  { content = manifest, digest = digestOf(content), type = mediaTypes.ociManifest as string } = {},
): void {
  const headers = { 'content-type': type, 'content-length': content.length, 'docker-content-digest': digest };
  response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : content);
}

/** Has one manifest. */
export const oneManifest: Handler = (request, response) => sendManifest(request, response);

/** Answers with one error of the specification. */
export function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify({ errors: [{ code, message: `says ${code}` }] });
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
}

/** All bytes. */
export async function bytesOf(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

export function digestOfText(text: string): Digest {
  return digestOf(Buffer.from(text));
}
