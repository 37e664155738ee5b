import { randomUUID } from 'node:crypto';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import type { StorageDriver } from '../../driver.ts';
import { createDriver } from '../../index.ts';
import { type Bucket, newBucket } from './bucket.ts';
import { type FaultProxy, type FaultProxyOptions, startFaultProxy } from './fault-proxy.ts';

/** A bucket behind a proxy that does faults, with drivers on both sides of it. */
export interface FaultyStorage {
  readonly bucket: Bucket;
  readonly proxy: FaultProxy;
  /** Speaks to the proxy. */
  readonly driver: StorageDriver;
  /** Speaks to the server itself: what is really there. */
  readonly truth: StorageDriver;
  /** Another driver that speaks to the proxy. @param over laid over its parameters */
  another(over?: Readonly<Record<string, unknown>>): StorageDriver;
  /** The parameters of `driver`. */
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Uploads that have begun and not ended. */
  uploads(): Promise<string[]>;
  dispose(): Promise<void>;
}

/** @param over laid over the parameters of all drivers */
export async function faultyStorage(
  over: Readonly<Record<string, unknown>> = {},
  options: Omit<FaultProxyOptions, 'endpoint'> = {},
): Promise<FaultyStorage> {
  const bucket = await newBucket();
  const { server, name, client } = bucket;
  const proxy = await startFaultProxy({ endpoint: server.endpoint, ...options });
  const parameters = {
    regionendpoint: proxy.endpoint,
    region: server.region,
    accesskey: server.accessKey,
    secretkey: server.secretKey,
    bucket: name,
    rootdirectory: `/${randomUUID()}`,
    chunksize: 5 * 1024 * 1024,
    ...over,
  };
  const drivers: StorageDriver[] = [];
  const another = (more: Readonly<Record<string, unknown>> = {}) => {
    const driver = createDriver('s3', { ...parameters, ...more });
    drivers.push(driver);
    return driver;
  };
  return {
    bucket,
    proxy,
    driver: another(),
    truth: another({ regionendpoint: server.endpoint }),
    another,
    parameters,
    async uploads() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: name }));
      return Uploads.map(({ Key = '' }) => Key);
    },
    async dispose() {
      proxy.clear();
      await Promise.all(drivers.map((driver) => driver.close?.()));
      await proxy.close();
      await bucket.remove();
    },
  };
}
