import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type Server, startDistribution } from '../harness/server.ts';
import { startRegistry } from '../harness/under-test.ts';

export type Program = 'berth' | 'distribution';

/** A registry on a volume, and a client of it. */
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

/** Starts a registry on a volume. */
export async function startOn(dataDir: string, program: Program): Promise<Running> {
  const server = await (program === 'berth'
    ? startRegistry({ dataDir })
    : startDistribution({ dataDir, config: distributionConfig }));
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

/** Uses a registry on a volume and stops it. */
export async function withRegistry<T>(
  dataDir: string,
  program: Program,
  use: (client: RegistryClient) => Promise<T>,
): Promise<T> {
  const { client, stop } = await startOn(dataDir, program);
  try {
    return await use(client);
  } finally {
    await stop();
  }
}

/** Runs distribution's garbage collector on a volume that nobody writes to. @returns how much it found to delete */
export async function collectWithDistribution(dataDir: string, folder: string): Promise<string> {
  const config = join(folder, 'garbage-collect.yml');
  const storage = { filesystem: { rootdirectory: dataDir }, delete: { enabled: true } };
  await writeFile(config, JSON.stringify({ version: '0.1', storage }));
  const { code, stdout, stderr } = await run(requireTool('docker-registry'), ['garbage-collect', config]);
  if (code !== 0) throw new Error(`garbage-collect ended with ${code}\n${stdout}\n${stderr}`);
  return /\d+ blobs marked, .* eligible for deletion/.exec(stdout)?.[0] ?? `no summary: ${stdout}`;
}
