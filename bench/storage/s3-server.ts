import { randomInt } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { runProgram } from '../children.ts';

/** An S3 server, and the keys of a user who may make buckets. */
export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Processes of a server that was started for this run; none of somebody else's. */
  readonly processes: readonly number[];
  /** Gives the space of removed objects free. */
  collectGarbage(signal: AbortSignal): Promise<void>;
  /** Wipes a server that was started for this run. */
  stop(): Promise<void>;
}

export interface S3ServerOptions {
  /** The script that starts a Ceph. */
  script: string;
  /** For its data; is made and removed. */
  folder: string;
  /** How much it can hold, in bytes. */
  size: number;
  signal: AbortSignal;
}

/**
 * The server that `S3_ENDPOINT`, `S3_REGION`, `S3_ACCESS_KEY` and `S3_SECRET_KEY` name, or else a Ceph RADOS Gateway
 * that is started now and goes with this process, in whatever way it ends.
 */
export async function startS3Server({ script, folder, size, signal }: S3ServerOptions): Promise<S3Server> {
  const own = process.env.S3_ENDPOINT === undefined;
  const env = {
    ...process.env,
    S3_DIR: folder,
    S3_PORT: String(own ? await freePorts() : 0),
    S3_OWNER: String(process.pid),
    S3_SIZE: String(size),
  };
  const wipe = async () => {
    if (own) await runProgram(script, ['wipe'], { env });
  };
  try {
    const printed = await runProgram(script, ['start'], { env, signal });
    const value = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(printed)?.[1] ?? '';
    return {
      endpoint: value('S3_ENDPOINT'),
      region: value('S3_REGION'),
      accessKey: value('S3_ACCESS_KEY'),
      secretKey: value('S3_SECRET_KEY'),
      processes: own ? await processesIn(join(folder, 'run')) : [],
      async collectGarbage(stop) {
        const conf = join(folder, 'ceph.conf');
        const args = ['-n', 'client.rgw', '-c', conf, '--admin-socket=', 'gc', 'process', '--include-all'];
        if (own) await runProgram('radosgw-admin', args, { signal: stop });
      },
      stop: wipe,
    };
  } catch (error) {
    await wipe();
    throw error;
  }
}

async function processesIn(folder: string): Promise<number[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.pid'));
  return Promise.all(files.map(async (name) => Number(await readFile(join(folder, name), 'utf8'))));
}

/** The first of the fifty ports in a row that a server takes, below those that systems give to clients. */
async function freePorts(): Promise<number> {
  for (;;) {
    const port = 20_000 + 50 * randomInt(200);
    if ((await isFree(port)) && (await isFree(port + 1))) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
