import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type Server, startDistribution } from '../harness/server.ts';
import { type StorageKind, storageSection } from '../harness/storage.ts';
import { startRegistry } from '../harness/under-test.ts';

export type Program = 'berth' | 'distribution';

/** What programs share: a volume, or a root directory in the bucket of the run. */
export interface Place {
  readonly storage: StorageKind;
  readonly dataDir: string;
}

/** A registry on a volume or a bucket, and a client of it. */
export interface Running {
  readonly server: Server;
  readonly client: RegistryClient;
  stop(): Promise<void>;
}

/** As Debian configures its docker-registry, but without the password. */
const distributionConfig = {
  log: { fields: { service: 'registry' } },
  storage: { cache: { blobdescriptor: 'inmemory' } },
  http: { headers: { 'X-Content-Type-Options': ['nosniff'] } },
};

/** Starts a registry. */
export async function startOn(place: Place, program: Program): Promise<Running> {
  const server = await (program === 'berth'
    ? startRegistry(place)
    : startDistribution({ ...place, config: distributionConfig }));
  const client = createRegistryClient(server.url);
  return {
    server,
    client,
    async stop() {
      client.close();
      await server.stop();
    },
  };
}

/** Starts a registry, uses it and stops it. */
export async function withRegistry<T>(
  place: Place,
  program: Program,
  use: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  const { client, stop } = await startOn(place, program);
  try {
    return await use(client);
  } finally {
    await stop();
  }
}

/** Runs distribution's garbage collector where nobody writes. @returns how much it found to delete */
export async function collectWithDistribution(place: Place, folder: string): Promise<string> {
  const config = join(folder, 'garbage-collect.yml');
  const storage = await storageSection(place.storage, place.dataDir, false);
  await writeFile(config, JSON.stringify({ version: '0.1', storage }));
  const { code, stdout, stderr } = await run(requireTool('docker-registry'), ['garbage-collect', config]);
  if (code !== 0) throw new Error(`garbage-collect ended with ${code}\n${stdout}\n${stderr}`);
  return /\d+ blobs marked, .* eligible for deletion/.exec(stdout)?.[0] ?? `no summary: ${stdout}`;
}
