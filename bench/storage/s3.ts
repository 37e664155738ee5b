import { randomBytes } from 'node:crypto';
import { Agent } from 'node:http';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3';
import { startCountingProxy } from './counting-proxy.ts';
import { type S3ServerOptions, startS3Server } from './s3-server.ts';
import type { Place, Storage } from './storage.ts';

// Which Node releases later versions of the SDK will need has no place among the results.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';

/** Requests of this process at a time. */
const sideBySide = 32;

/** One bucket, in which each registry has a root directory of its own. */
export async function s3Storage(options: S3ServerOptions): Promise<Storage> {
  const server = await startS3Server(options);
  const { endpoint, region, accessKey, secretKey } = server;
  if (!endpoint.startsWith('http://')) throw new Error('S3_ENDPOINT must begin with http://: requests are counted');
  const bucket = `berth-bench-${randomBytes(8).toString('hex')}`;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    // Ceph before 18 refuses the checksums that the SDK adds unasked.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { httpAgent: new Agent({ keepAlive: true, maxSockets: sideBySide }) },
  });
  const proxy = await startCountingProxy(endpoint);

  /** Removes the objects under a prefix, and uploads that never became objects. */
  async function removeBelow(prefix: string): Promise<void> {
    const under = { Bucket: bucket, Prefix: prefix };
    for (;;) {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand(under));
      if (Uploads.length === 0) break;
      const each = Uploads.map(({ Key, UploadId }) => ({ Bucket: bucket, Key, UploadId }));
      await Promise.all(each.map((upload) => client.send(new AbortMultipartUploadCommand(upload))));
    }
    for await (const { Contents = [] } of paginateListObjectsV2({ client }, under)) {
      if (Contents.length === 0) continue;
      const Delete = { Objects: Contents.map(({ Key }) => ({ Key })), Quiet: true };
      const { Errors = [] } = await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }));
      if (Errors.length > 0) throw new Error(`cannot remove ${Errors[0]?.Key}: ${Errors[0]?.Message}`);
    }
  }

  function place(name: string): Place {
    return {
      driver: (access) => ({
        s3: {
          region,
          regionendpoint: access === 'straight' ? endpoint : proxy.url,
          accesskey: accessKey,
          secretkey: secretKey,
          bucket,
          secure: false,
          v4auth: true,
          rootdirectory: `/${name}`,
        },
      }),
      async put(objects, signal) {
        const waiting = objects.values();
        const putInTurn = async () => {
          for (const { path, content } of waiting) {
            const object = { Bucket: bucket, Key: name + path, Body: content };
            await client.send(new PutObjectCommand(object), { abortSignal: signal });
          }
        };
        await Promise.all(Array.from({ length: sideBySide }, putInTurn));
      },
      clear: () => removeBelow(`${name}/`),
    };
  }

  async function close(): Promise<void> {
    await proxy.close();
    // With a server of this run everything goes at once.
    if (server.processes.length === 0) {
      await removeBelow('');
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
    }
    client.destroy();
    await server.stop();
  }

  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }), { abortSignal: options.signal });
  } catch (error) {
    await proxy.close();
    await server.stop();
    throw error;
  }
  const description = `bucket ${bucket} of ${endpoint}, ${server.processes.length > 0 ? 'a Ceph of this run' : 'as given'}`;
  return {
    kind: 's3',
    description,
    processes: server.processes,
    scarce: true,
    place,
    settle: server.collectGarbage,
    counter: proxy,
    close,
  };
}
