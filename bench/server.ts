import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startChild, stopChild } from './children.ts';
import type { Access, Place } from './storage/storage.ts';

/** A registry to measure: any program that takes distribution's `serve <config.yml>`. */
export interface Program {
  name: string;
  /** Program and arguments; `serve <config.yml>` is added. */
  command: readonly [string, ...string[]];
}

/** A running registry. */
export interface Server {
  readonly name: string;
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
  /** Ends the process and removes its files, but not its content. */
  stop(): Promise<void>;
  /** What it wrote last, for error messages. */
  lastWords(): Promise<string>;
}

/** How a registry is to be set up for a line. */
export interface Setup {
  place: Place;
  access: Access;
  /** Whether clients are sent to the storage for blobs, where it can serve them. */
  redirect: boolean;
  /** The section `auth`. Default: none. */
  auth?: object;
  /** Further sections, e.g. `mirror`. Default: none. */
  sections?: object;
}

/** The file that the image `registry:2` ships, on loopback: what most installations run with. The same for everybody. */
function configuration({ place, access, redirect, auth, sections }: Setup, port: number): string {
  // JSON is YAML, too.
  return JSON.stringify({
    version: 0.1,
    log: { fields: { service: 'registry' } },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      redirect: { disable: !redirect },
      ...place.driver(access),
    },
    ...(auth && { auth }),
    ...sections,
    http: { addr: `127.0.0.1:${port}`, headers: { 'X-Content-Type-Options': ['nosniff'] } },
    // Where requests are counted, only those of the load are to be.
    health: { storagedriver: { enabled: access === 'straight', interval: '10s', threshold: 3 } },
  });
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

/** What this process has, without what changes a registry behind its configuration's back. */
function registryEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(AWS|REGISTRY|S3)_/.test(name));
  // distribution 3 would otherwise send traces to a collector that is not there.
  return { ...Object.fromEntries(kept), OTEL_TRACES_EXPORTER: 'none' };
}

/** How long a registry may take until it answers `/v2/`, in milliseconds. */
const startLimit = 30_000;

/** Starts a registry and waits until it answers. @param folder for its files @throws Error with its log when it does not */
export async function startServer(
  program: Program,
  folder: string,
  setup: Setup,
  signal: AbortSignal,
): Promise<Server> {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const config = join(folder, 'config.yml');
  const logFile = join(folder, 'log');
  await writeFile(config, configuration(setup, port));
  const log = await open(logFile, 'w');
  const [file, ...args] = program.command;
  const child = await startChild(file, [...args, 'serve', config], {
    stdio: ['ignore', log.fd, log.fd],
    env: registryEnvironment(),
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
      // 401: it is there, for those who log in.
      if (answer?.status === 200 || (setup.auth !== undefined && answer?.status === 401)) return server;
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
