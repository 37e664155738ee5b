import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { createDriver } from '../index.ts';
import { describeDriver } from '../testing/suite.ts';
import { type Bucket, newBucket } from './testing/bucket.ts';

let bucket: Bucket;
beforeAll(async () => {
  bucket = await newBucket();
}, 60_000);
afterAll(() => bucket.remove(), 60_000);

describeDriver(
  's3',
  async () => {
    const { endpoint, region, accessKey, secretKey } = bucket.server;
    const rootdirectory = `/${randomUUID()}`;
    const create = () =>
      createDriver('s3', {
        regionendpoint: endpoint,
        region,
        accesskey: accessKey,
        secretkey: secretKey,
        bucket: bucket.name,
        rootdirectory,
        chunksize: 5 * 1024 * 1024,
      });
    const drivers = [create()];
    return {
      driver: drivers[0] ?? create(),
      async another() {
        const other = create();
        drivers.push(other);
        return other;
      },
      async dispose() {
        await Promise.all(drivers.map((driver) => driver.close?.()));
      },
    };
  },
  { timeout: 60_000 },
);
