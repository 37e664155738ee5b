import { Agent, createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { RequestCounter, RequestCounts } from './storage.ts';

export interface CountingProxy extends RequestCounter {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/** Nothing under way for so long: whatever a registry did behind its answers has ended. In milliseconds. */
const quiet = 300;

/** What an S3 request does, as far as its cost is concerned. */
export function kindOf(method: string, url: string, headers: IncomingHttpHeaders): string {
  const { searchParams: query, pathname } = new URL(url, 'http://127.0.0.1');
  if (method === 'PUT' && headers['x-amz-copy-source'] !== undefined) return 'COPY';
  // A bucket has one segment, an object at least two.
  const ofBucket = !/^\/[^/]+\/./.test(pathname);
  if (method === 'GET' && (ofBucket || query.has('uploadId'))) return 'LIST';
  if (method === 'POST' && query.has('delete')) return 'DELETE';
  return method;
}

/** Passes on requests as they are, `Host` included, so that their signatures stay good, and counts them. */
export async function startCountingProxy(target: string): Promise<CountingProxy> {
  const { hostname, port } = new URL(target);
  const agent = new Agent({ keepAlive: true });
  let counts: RequestCounts = {};
  let underWay = 0;
  let lastMoved = 0;

  async function pass(incoming: IncomingMessage): Promise<IncomingMessage> {
    const { method = '', url = '', rawHeaders } = incoming;
    const outgoing = request({ hostname, port, agent, method, path: url, headers: rawHeaders });
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).once('error', reject);
    });
    const [result] = await Promise.all([answer, pipeline(incoming, outgoing)]);
    return result;
  }

  const server: Server = createServer(async (incoming, response) => {
    const kind = kindOf(incoming.method ?? '', incoming.url ?? '', incoming.headers);
    counts[kind] = (counts[kind] ?? 0) + 1;
    underWay += 1;
    try {
      const answer = await pass(incoming);
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      await pipeline(answer, response);
    } catch {
      // The registry went away or the storage did: either sees a broken connection, as it would without the proxy.
      response.destroy();
    } finally {
      underWay -= 1;
      lastMoved = performance.now();
    }
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');

  return {
    url: `http://127.0.0.1:${address.port}`,
    reset() {
      counts = {};
    },
    async read(signal) {
      while (underWay > 0 || performance.now() - lastMoved < quiet) await wait(20, undefined, { signal });
      return { ...counts };
    },
    async close() {
      agent.destroy();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
