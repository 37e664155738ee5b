import { mkdir } from 'node:fs/promises';
import { s3Bucket } from './s3-server.ts';

export type StorageKind = 'filesystem' | 's3';

/** What registries keep their content in, unless a test says otherwise: `BERTH_STORAGE`. */
export const defaultStorage: StorageKind = process.env.BERTH_STORAGE === 's3' ? 's3' : 'filesystem';

/** Whether registries send their clients to the S3 server for blobs, unless a test says otherwise: `BERTH_REDIRECT`. */
export const defaultRedirect = process.env.BERTH_REDIRECT === 'on';

/**
 * The `storage` section of a registry's configuration, with deletion on.
 *
 * @param dataDir the folder; with S3 a root directory in the bucket of this run, so that the same `dataDir` is the same
 *   storage there as well
 */
export async function storageSection(kind: StorageKind, dataDir: string, redirect: boolean): Promise<object> {
  const common = { delete: { enabled: true }, redirect: { disable: !redirect } };
  if (kind === 'filesystem') {
    await mkdir(dataDir, { recursive: true });
    return { filesystem: { rootdirectory: dataDir }, ...common };
  }
  const { name, server } = await s3Bucket();
  return {
    s3: {
      regionendpoint: server.endpoint,
      region: server.region,
      accesskey: server.accessKey,
      secretkey: server.secretKey,
      bucket: name,
      rootdirectory: dataDir,
      forcepathstyle: true,
      secure: server.endpoint.startsWith('https:'),
    },
    ...common,
  };
}
