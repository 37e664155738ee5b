import { createServer, type Server as HttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Transform } from 'node:stream';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type Server, startDistribution } from '../harness/server.ts';

/** A registry that is mirrored, and what was asked of it. */
export interface CountedUpstream {
  readonly url: string;
  readonly registry: Server;
  /** Method and path of each request, without the query. */
  readonly requests: string[];
  /** Bytes in a second that an answer may bring; undefined: as it comes. */
  speed: number | undefined;
  /** From now on connections are refused, or not any more. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Copies an image into it with skopeo. @param source as skopeo names it */
  push(source: string, name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Distribution 2.8, behind a proxy that counts. */
export async function startUpstream(): Promise<CountedUpstream> {
  const registry = await startDistribution({ storage: 'filesystem' });
  const requests: string[] = [];
  const target = new URL(registry.url);
  const open = new Set<Socket>();
  let server: HttpServer | undefined;
  let port = 0;

  const slowed = () =>
    new Transform({
      transform(chunk: Buffer, _, done) {
        if (upstream.speed === undefined) done(null, chunk);
        else setTimeout(() => done(null, chunk), (1000 * chunk.length) / upstream.speed);
      },
    });

  const forward = (incoming: IncomingMessage, outgoing: ServerResponse) => {
    requests.push(`${incoming.method} ${incoming.url?.split('?')[0]}`);
    const { method, url, headers } = incoming;
    const onward = request({ host: target.hostname, port: target.port, method, path: url, headers }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.rawHeaders);
      reply.pipe(slowed()).pipe(outgoing);
      reply.once('error', () => outgoing.destroy());
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  };

  async function up(): Promise<void> {
    const fresh = createServer(forward);
    fresh.on('connection', (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    });
    await new Promise<void>((resolve) => fresh.listen(port, '127.0.0.1', resolve));
    port = (fresh.address() as AddressInfo).port;
    server = fresh;
  }
  async function down(): Promise<void> {
    const before = server;
    server = undefined;
    const closed = new Promise<void>((resolve) => (before === undefined ? resolve() : before.close(() => resolve())));
    for (const socket of open) socket.destroy();
    await closed;
  }
  await up();

  const upstream: CountedUpstream = {
    speed: undefined,
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    registry,
    requests,
    up,
    down,
    async push(source, name) {
      const args = [
        '--insecure-policy',
        'copy',
        '--dest-tls-verify=false',
        source,
        `docker://${registry.host}/${name}`,
      ];
      const { code, stderr } = await run(requireTool('skopeo'), args);
      if (code !== 0) throw new Error(`skopeo ${args.join(' ')}: ${stderr}`);
    },
    async stop() {
      await down();
      await registry.stop();
    },
  };
  return upstream;
}
