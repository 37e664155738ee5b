import {
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadBucketCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';
import { newBucket } from './bucket.ts';
import { s3Server } from './server.ts';

describe('the S3 server of the tests', { timeout: 120_000 }, () => {
  test('keeps an object', async () => {
    const { client, name, remove } = await newBucket();
    await client.send(new PutObjectCommand({ Bucket: name, Key: 'a/key', Body: 'some bytes' }));
    const { Body } = await client.send(new GetObjectCommand({ Bucket: name, Key: 'a/key' }));
    expect(await Body?.transformToString()).toBe('some bytes');
    await remove();
  });

  test('is one for all who ask', async () => {
    expect(await Promise.all([s3Server(), s3Server()])).toEqual(Array(2).fill(await s3Server()));
  });

  test('loses a bucket with all that is in it, uploads that are not finished included', async () => {
    const bucket = await newBucket();
    const of = { Bucket: bucket.name };
    for (const key of ['a', 'b/c']) await bucket.client.send(new PutObjectCommand({ ...of, Key: key, Body: key }));
    await bucket.client.send(new CreateMultipartUploadCommand({ ...of, Key: 'unfinished' }));
    const { name } = bucket;
    await bucket.remove();
    const { client, remove } = await newBucket();
    await expect(client.send(new HeadBucketCommand({ Bucket: name }))).rejects.toMatchObject({
      $metadata: { httpStatusCode: 404 },
    });
    await remove();
  });
});
