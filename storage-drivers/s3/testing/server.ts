import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** Where an S3 server is, and the keys of a user who may make buckets. */
export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

const script = fileURLToPath(new URL('ceph.sh', import.meta.url));

let server: Promise<S3Server> | undefined;

/**
 * The S3 server of this run: the one that `S3_ENDPOINT`, `S3_REGION`, `S3_ACCESS_KEY` and `S3_SECRET_KEY` name, or a
 * Ceph that all test files of the run share and the first one to ask for it starts (`run-of-tests.ts` decides where).
 *
 * @throws Error that says what to install when Ceph's programs are missing
 */
export function s3Server(): Promise<S3Server> {
  server ??= start();
  return server;
}

async function start(): Promise<S3Server> {
  const { stdout } = await promisify(execFile)(script, ['start']);
  const value = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(stdout)?.[1] ?? '';
  return {
    endpoint: value('S3_ENDPOINT'),
    region: value('S3_REGION'),
    accessKey: value('S3_ACCESS_KEY'),
    secretKey: value('S3_SECRET_KEY'),
  };
}
