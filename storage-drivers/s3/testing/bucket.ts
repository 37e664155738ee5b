import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { type S3Server, s3Server } from './server.ts';

/** A bucket of its own on the S3 server of this run. */
export interface Bucket {
  readonly name: string;
  readonly server: S3Server;
  readonly client: S3Client;
  /** Removes the bucket with all that is in it. */
  remove(): Promise<void>;
}

/** Makes an empty bucket. */
export async function newBucket(): Promise<Bucket> {
  const server = await s3Server();
  const client = clientOf(server);
  const name = `test-${randomBytes(8).toString('hex')}`;
  await client.send(new CreateBucketCommand({ Bucket: name }));
  return {
    name,
    server,
    client,
    async remove() {
      await removeBucket(client, name);
      client.destroy();
    },
  };
}

export function clientOf({ endpoint, region, accessKey, secretKey }: S3Server): S3Client {
  return new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    // Ceph before 18 refuses the checksums that the SDK adds unasked.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

/** Removes a bucket with all that is in it, uploads that are not finished included. */
export async function removeBucket(client: S3Client, name: string): Promise<void> {
  const bucket = { Bucket: name };
  for (;;) {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(bucket));
    if (Uploads.length === 0) break;
    const ended = Uploads.map(({ Key, UploadId }) =>
      client.send(new AbortMultipartUploadCommand({ ...bucket, Key, UploadId })),
    );
    await Promise.all(ended);
  }
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, bucket)) {
    await Promise.all(Contents.map(({ Key }) => client.send(new DeleteObjectCommand({ ...bucket, Key }))));
  }
  await client.send(new DeleteBucketCommand(bucket));
}
