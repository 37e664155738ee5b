import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startChild, stopChild } from './children.ts';

/** A registry to measure: any program that takes distribution's `serve <config.yml>`. */
export interface Program {
  name: string;
  /** Program and arguments; `serve <config.yml>` is added. */
  command: readonly [string, ...string[]];
}

/** A running registry with a data folder of its own. */
export interface Server {
  readonly name: string;
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
  /** Ends the process and removes its folder. */
  stop(): Promise<void>;
  /** What it wrote last, for error messages. */
  lastWords(): Promise<string>;
}

/** The file that the image `registry:2` ships, on loopback: what most installations run with. The same for everybody. */
function configuration(data: string, port: number): string {
  return `version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: ${JSON.stringify(data)}
http:
  addr: 127.0.0.1:${port}
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
`;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

/** How long a registry may take until it answers `/v2/`, in milliseconds. */
const startLimit = 30_000;

/** Starts a registry on an empty folder and waits until it answers. @throws Error with its log when it does not */
export async function startServer(program: Program, folder: string, signal: AbortSignal): Promise<Server> {
  await mkdir(join(folder, 'data'), { recursive: true });
  const port = await freePort();
  const config = join(folder, 'config.yml');
  const logFile = join(folder, 'log');
  await writeFile(config, configuration(join(folder, 'data'), port));
  const log = await open(logFile, 'w');
  const [file, ...args] = program.command;
  const child = await startChild(file, [...args, 'serve', config], {
    stdio: ['ignore', log.fd, log.fd],
    // distribution 3 would otherwise send traces to a collector that is not there.
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  }).finally(() => log.close());

  const server: Server = {
    name: program.name,
    port,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    async stop() {
      await stopChild(child);
      await rm(folder, { recursive: true, force: true });
    },
    async lastWords() {
      return (await readFile(logFile, 'utf8').catch(() => '')).slice(-2000);
    },
  };

  try {
    for (const deadline = Date.now() + startLimit; ; await wait(20, undefined, { signal })) {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${program.name} ended at once`);
      if (Date.now() > deadline) throw new Error(`${program.name} does not answer after ${startLimit / 1000} s`);
      const answer = await fetch(`${server.url}/v2/`, { signal }).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.status === 200) return server;
      // 503: it listens already, and is not ready yet.
      if (answer !== undefined && answer.status !== 503) {
        throw new Error(`${program.name} answers ${answer.status} to /v2/`);
      }
    }
  } catch (error) {
    const words = await server.lastWords();
    await server.stop();
    throw new Error(`${program.name} cannot be started with ${program.command.join(' ')}\n${words}`, { cause: error });
  }
}
