import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atExit } from './at-exit.ts';
import { projectRoot } from './project-root.ts';
import { requireTool } from './require-tool.ts';
import { defaultRedirect, defaultStorage, type StorageKind, storageSection } from './storage.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface ServerOptions {
  /**
   * An object is laid over the base configuration (deletion on, storage in `dataDir`), key by key; null takes a key
   * away. A string is the whole file: address and folder are then set through the environment.
   */
  config?: object | string;
  /** Further environment variables. Of the environment of this process the server sees PATH, HOME and TMPDIR only. */
  env?: Readonly<Record<string, string>>;
  /**
   * Where the storage is; servers with the same one share it. Default: a temporary folder that `stop` removes; a folder
   * given here stays. With S3 it is a root directory in the bucket of the run.
   */
  dataDir?: string;
  /** Default: what `BERTH_STORAGE` says, otherwise filesystem. */
  storage?: StorageKind;
  /** Whether clients are sent to the storage for blobs, where it can be. Default: what `BERTH_REDIRECT` says, otherwise not. */
  redirect?: boolean;
  /** Default: a free one. */
  port?: number;
}

/** A registry that runs as a child process and answers on 127.0.0.1. */
export interface Server {
  /** `http://127.0.0.1:<port>`, with `https` when the configuration has `http.tls`. */
  readonly url: string;
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** The root of the storage. */
  readonly dataDir: string;
  /** The configuration file it was started with; exists until `stop`. */
  readonly configFile: string;
  readonly pid: number;
  /** All that it has written to standard output and standard error. */
  logs(): string;
  /** Ends it in order (SIGTERM) and removes what is temporary. @throws Error when it has to be killed after 20 s */
  stop(): Promise<void>;
  /** Ends it at once (SIGKILL), as a crash does; the folders stay until `stop`. */
  kill(): Promise<void>;
}

/** The command line of berth, to which arguments are added. Needs the compiled program (`npm run build`). */
export function berthCommand(): [command: string, ...args: string[]] {
  const main = join(projectRoot(), 'dist/src/main.js');
  if (!existsSync(main)) throw new Error(`${main} does not exist: run npm run build first`);
  return [process.execPath, main];
}

/** Starts the built server (`berth serve <file>`). @throws Error with its output when it does not come up */
export function startBerth(options: ServerOptions = {}): Promise<Server> {
  return start(berthCommand(), options);
}

/** Starts CNCF distribution as Debian packages it (2.8). */
export function startDistribution(options: ServerOptions = {}): Promise<Server> {
  return start([requireTool('docker-registry')], options);
}

/** In milliseconds; generous, for machines that do something else meanwhile. */
const startLimit = 60_000;
const stopLimit = 20_000;

async function start(command: [string, ...string[]], options: ServerOptions): Promise<Server> {
  const folder = await temporaryFolder();
  const dataDir = options.dataDir ?? join(folder.path, 'data');
  const { storage = defaultStorage, redirect = defaultRedirect } = options;
  const host = `127.0.0.1:${options.port ?? (await freePort())}`;
  const configFile = join(folder.path, 'config.yml');
  const { config = {} } = options;
  const settings =
    typeof config === 'string'
      ? config
      : merge(
          { version: '0.1', storage: await storageSection(storage, dataDir, redirect), http: { addr: host } },
          config,
        );
  // JSON is YAML.
  await writeFile(configFile, typeof settings === 'string' ? settings : JSON.stringify(settings, null, 2));

  const { PATH, HOME, TMPDIR } = process.env;
  const env = {
    PATH,
    HOME,
    TMPDIR,
    ...(typeof config === 'string' && overrides(config, host, dataDir)),
    ...options.env,
  };
  const [program, ...args] = command;
  const child = spawn(program, [...args, 'serve', configFile], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let ended = false;
  const forget = atExit(() => child.kill('SIGKILL'));
  const output: string[] = [];
  child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text));
  const exited = new Promise<void>((resolve) => {
    child.once('error', (error) => {
      output.push(`${error.message}\n`);
      resolve();
    });
    child.once('close', () => resolve());
  }).then(() => {
    ended = true;
    forget();
  });

  const tls = typeof settings === 'string' ? /^\s*tls:/m.test(settings) : 'tls' in section(settings, 'http');
  const url = `${tls ? 'https' : 'http'}://${host}`;
  const fail = async (reason: string): Promise<never> => {
    child.kill('SIGKILL');
    await exited;
    await folder.remove();
    throw new Error(`${command.join(' ')} ${reason}\n${output.join('')}`);
  };
  const deadline = Date.now() + startLimit;
  // Distribution has no page for readiness, and berth says there that it is not ready yet, whatever its prefix.
  while (!(await answers(`${url}/v2/`)) || !(await answers(`${url}/readyz`))) {
    if (ended) await fail(`ended with code ${child.exitCode} before it answered`);
    if (Date.now() > deadline) await fail(`did not answer within ${startLimit} ms`);
    await delay(50);
  }

  return {
    url,
    host,
    dataDir,
    configFile,
    pid: child.pid ?? 0,
    logs: () => output.join(''),
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      let late = false;
      const killer = setTimeout(() => {
        late = child.kill('SIGKILL');
      }, stopLimit);
      child.kill('SIGTERM');
      await exited;
      clearTimeout(killer);
      await folder.remove();
      if (late) throw new Error(`${command.join(' ')} did not end within ${stopLimit} ms\n${output.join('')}`);
    },
  };
}

/** What a configuration file that is used as it stands must be told from outside. */
function overrides(config: string, host: string, dataDir: string): Record<string, string> {
  return {
    REGISTRY_HTTP_ADDR: host,
    ...(/^\s*filesystem:/m.test(config) && { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: dataDir }),
  };
}

function merge(base: object, over: object): object {
  const merged = new Map<string, unknown>(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const below = merged.get(key);
    if (value === null) merged.delete(key);
    else merged.set(key, isMap(below) && isMap(value) ? merge(below, value) : value);
  }
  return Object.fromEntries(merged);
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function section(settings: object, key: string): object {
  const value: unknown = Object.entries(settings).find(([name]) => name === key)?.[1];
  return isMap(value) ? value : {};
}

/** A port of 127.0.0.1 that nobody has at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : 0));
    });
  });
}

/** Whether anything but a server error comes back; a certificate is not looked at. */
function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const send = url.startsWith('https:') ? httpsRequest : httpRequest;
    const request = send(url, { agent: false, rejectUnauthorized: false, timeout: 5_000 }, (response) => {
      response.resume();
      resolve((response.statusCode ?? 500) < 500);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
    request.end();
  });
}
