import { spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * For the test runner's own process, before any test: decides in which folder and on which port the S3 server of this
 * run is, should a test ask for it, and the name of the bucket that registries share. The tests' processes inherit it.
 *
 * @returns wipes the server, or takes the bucket from a server that is somebody else's. Where the run is cut off and
 *   this never happens, the server's guard wipes it (`S3_OWNER`).
 */
export default async function runOfTests(): Promise<() => Promise<void>> {
  const { env } = process;
  // Set by an outer run (one suite starts another), or by somebody who keeps a server between runs.
  if (env.S3_BUCKET !== undefined) return async () => {};
  env.S3_BUCKET = `berth-${randomBytes(8).toString('hex')}`;
  if (env.S3_ENDPOINT !== undefined) return () => removeIfThere(env.S3_BUCKET ?? '');
  env.S3_DIR = join(tmpdir(), `berth-s3-${process.pid}`);
  env.S3_PORT = String(await freePorts());
  env.S3_OWNER = String(process.pid);
  const { S3_DIR } = env;
  return async () => {
    if (!existsSync(`${S3_DIR}.lock`)) return;
    const script = fileURLToPath(new URL('ceph.sh', import.meta.url));
    spawnSync(script, ['wipe'], { stdio: ['ignore', 'ignore', 'inherit'] });
  };
}

/** The first of 50 ports in a row that nobody is likely to take: below those that systems give to clients. */
async function freePorts(): Promise<number> {
  for (;;) {
    const port = 20_000 + 50 * randomInt(200);
    if (!(await listening(port)) && !(await listening(port + 1))) return port;
  }
}

function listening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function removeIfThere(bucket: string): Promise<void> {
  const { clientOf, removeBucket } = await import('./bucket.ts');
  const { s3Server } = await import('./server.ts');
  const client = clientOf(await s3Server());
  await removeBucket(client, bucket).catch((error: unknown) => {
    if (!(error instanceof Error && error.name === 'NoSuchBucket')) throw error;
  });
  client.destroy();
}
