import { join } from 'node:path';
import { BucketAlreadyOwnedByYou, CreateBucketCommand, paginateListObjectsV2, S3Client } from '@aws-sdk/client-s3';
import { projectRoot } from './project-root.ts';
import { run } from './run.ts';

/** Where an S3 server is, and the keys of a user who may make buckets. */
export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/** The bucket that all registries of a run share, each with a root directory of its own. */
export interface S3Bucket {
  readonly name: string;
  readonly server: S3Server;
  /** The keys of all objects below a root directory, without it, in byte order. */
  keys(rootDirectory: string): Promise<string[]>;
  /** The same with what they hold, in bytes. */
  sizes(rootDirectory: string): Promise<Map<string, number>>;
}

let server: Promise<S3Server> | undefined;
let bucket: Promise<S3Bucket> | undefined;

/**
 * The S3 server of this run: the one that `S3_ENDPOINT`, `S3_REGION`, `S3_ACCESS_KEY` and `S3_SECRET_KEY` name, or a
 * Ceph that the first test to ask for it starts and that goes with the run.
 *
 * @throws Error that says what to install when Ceph's programs are missing
 */
export function s3Server(): Promise<S3Server> {
  server ??= startServer();
  return server;
}

/** The bucket of this run, made by whoever asks first. */
export function s3Bucket(): Promise<S3Bucket> {
  bucket ??= makeBucket();
  return bucket;
}

async function startServer(): Promise<S3Server> {
  const { code, stdout, stderr } = await run(join(projectRoot(), 'storage-drivers/s3/testing/ceph.sh'), ['start']);
  if (code !== 0) throw new Error(`no S3 server: ${stderr}`);
  const value = (name: string) => new RegExp(`^${name}=(.+)$`, 'm').exec(stdout)?.[1] ?? '';
  return {
    endpoint: value('S3_ENDPOINT'),
    region: value('S3_REGION'),
    accessKey: value('S3_ACCESS_KEY'),
    secretKey: value('S3_SECRET_KEY'),
  };
}

async function makeBucket(): Promise<S3Bucket> {
  const { S3_BUCKET: name } = process.env;
  if (name === undefined) throw new Error('S3_BUCKET is not set: the setup of the run has not been called');
  const { endpoint, region, accessKey, secretKey } = await s3Server();
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  await client.send(new CreateBucketCommand({ Bucket: name })).catch((error: unknown) => {
    if (!(error instanceof BucketAlreadyOwnedByYou)) throw error;
  });
  async function sizes(rootDirectory: string): Promise<Map<string, number>> {
    const prefix = `${rootDirectory.replace(/^\/|\/$/g, '')}/`;
    const found = new Map<string, number>();
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket: name, Prefix: prefix })) {
      for (const { Key = '', Size = 0 } of Contents) found.set(Key.slice(prefix.length), Size);
    }
    return found;
  }
  const keys = async (rootDirectory: string) => [...(await sizes(rootDirectory)).keys()];
  return { name, server: await s3Server(), keys, sizes };
}
