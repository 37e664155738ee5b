import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Artifact } from '../clients/raw/artifact.ts';
import { contentsOf } from '../clients/raw/oci-layout.ts';
import type { Content } from '../harness/content.ts';

/** What was asked of a {@link Liar}. */
export interface Asked {
  /** Method and path, without the query. */
  readonly request: string;
  readonly headers: IncomingHttpHeaders;
}

/** Answers a request in its own way. @returns {@link truth} when that is to be told all the same */
export type Lie = (request: IncomingMessage, response: ServerResponse, path: string) => unknown;

export const truth = Symbol('truth');

/** An upstream on 127.0.0.1 that has some images, and says of them what a test wants. */
export interface Liar {
  readonly url: string;
  readonly port: number;
  readonly asked: Asked[];
  /** What it says from now on in place of the truth; undefined: the truth. */
  lie: Lie | undefined;
  /** Has an image from now on, in every repository. @param tag points to it */
  add(artifact: Artifact, tag: string): void;
  close(): Promise<void>;
}

export async function startLiar(): Promise<Liar> {
  const contents = new Map<string, Content>();
  const tags = new Map<string, string>();
  const asked: Asked[] = [];

  const tell = (request: IncomingMessage, response: ServerResponse, path: string) => {
    const reference = /^\/v2\/.+\/(?:manifests|blobs)\/([^/]+)$/.exec(path)?.[1] ?? '';
    const content = contents.get(tags.get(reference) ?? reference);
    if (content === undefined) response.writeHead(path === '/v2/' ? 200 : 404).end();
    else sendContent(request, response, content);
  };
  const server = createServer((request, response) => {
    const [path = ''] = (request.url ?? '').split('?');
    asked.push({ request: `${request.method} ${path}`, headers: request.headers });
    if (liar.lie === undefined || liar.lie(request, response, path) === truth) tell(request, response, path);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  const liar: Liar = {
    url: `http://127.0.0.1:${port}`,
    port,
    asked,
    lie: undefined,
    add(artifact, tag) {
      for (const content of contentsOf(artifact)) contents.set(content.digest, content);
      tags.set(tag, artifact.manifest.digest);
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
  return liar;
}

/** As a registry does that knows ranges. @param headers laid over what it says of the content */
export function sendContent(
  request: IncomingMessage,
  response: ServerResponse,
  { bytes, digest, mediaType }: Content,
  headers: Readonly<Record<string, string | number>> = {},
): void {
  const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (start >= bytes.length && start > 0) {
    response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
    return;
  }
  const part = bytes.subarray(start);
  const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
  response.writeHead(request.headers.range === undefined ? 200 : 206, {
    'content-type': mediaType,
    'content-length': part.length,
    'docker-content-digest': digest,
    ...(request.headers.range !== undefined && { 'content-range': range }),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : part);
}
