import { setMaxListeners } from 'node:events';
import {
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { runProgram } from '../children.ts';
import { s3Storage } from './s3.ts';
import type { Access, Place, Storage } from './storage.ts';

const script = new URL('../../storage-drivers/s3/testing/ceph.sh', import.meta.url).pathname;

describe('a bucket that registries share', { timeout: 120_000 }, () => {
  const signal = AbortSignal.timeout(110_000);
  const objects = Array.from({ length: 40 }, (_, index) => ({ path: `/docker/${index}/link`, content: `${index}` }));
  let storage: Storage;
  let client: S3Client;
  let Bucket: string;

  /** What a registry would be told. */
  function settings(place: Place, access: Access): Record<string, unknown> {
    const { s3 } = place.driver(access);
    return { ...s3 };
  }

  function clientFor(place: Place, access: Access): S3Client {
    const { region, regionendpoint, accesskey, secretkey } = settings(place, access);
    return new S3Client({
      region: String(region),
      endpoint: String(regionendpoint),
      forcePathStyle: true,
      credentials: { accessKeyId: String(accesskey), secretAccessKey: String(secretkey) },
    });
  }

  async function keysBelow(prefix: string): Promise<number> {
    const { KeyCount } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: prefix }));
    return KeyCount ?? 0;
  }

  beforeAll(async () => {
    // Each of many requests listens to it.
    setMaxListeners(0, signal);
    // The server that all tests of the run share.
    for (const line of (await runProgram(script, ['start'])).trim().split('\n')) {
      const [name = '', value = ''] = line.split(/=(.*)/s);
      vi.stubEnv(name, value);
    }
    storage = await s3Storage({ script, folder: '/nonexistent', size: 0, signal });
    Bucket = String(settings(storage.place('one'), 'straight').bucket);
    client = clientFor(storage.place('one'), 'straight');
  }, 120_000);
  afterAll(() => {
    client.destroy();
    vi.unstubAllEnvs();
  });

  it('takes objects below the root directory of a registry, and gives them back through the counter', async () => {
    const place = storage.place('one');
    await place.put?.(objects, signal);
    expect(settings(place, 'counted').rootdirectory).toBe('/one');
    const counted = clientFor(place, 'counted');
    storage.counter?.reset();
    for (const { path, content } of objects.slice(0, 3)) {
      const { Body } = await counted.send(new GetObjectCommand({ Bucket, Key: `one${path}` }));
      expect(await Body?.transformToString()).toBe(content);
    }
    expect(await storage.counter?.read(signal)).toEqual({ GET: 3 });
    counted.destroy();
  });

  it('loses what one registry has, unfinished uploads included, and keeps what is of the other', async () => {
    const [one, another] = [storage.place('one'), storage.place('one-more')];
    await one.put?.(objects, signal);
    await another.put?.(objects, signal);
    await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'one/unfinished' }));
    await one.clear();
    expect([await keysBelow('one/'), await keysBelow('one-more/')]).toEqual([0, objects.length]);
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(Uploads).toEqual([]);
  });

  it('is gone at the end', async () => {
    await storage.place('one').put?.(objects, signal);
    await storage.close();
    await expect(client.send(new HeadBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'NotFound' });
  });
});
