import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { defaultStorage, type StorageKind } from '../harness/storage.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Balancer, startBalancer } from './balancer.ts';

/** One berth process of several on the same storage. */
export interface Replica {
  /** Speaks to this one alone. */
  readonly client: RegistryClient;
  readonly server: Server;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** Starts it again, on the same port, after `kill`. */
  restart(): Promise<void>;
}

/** Two berths on one storage, behind nginx. */
export interface Replicas {
  readonly a: Replica;
  readonly b: Replica;
  /** In front of both; its client's requests go to one and the other in turn. */
  readonly balancer: Balancer & { readonly client: RegistryClient };
  stop(): Promise<void>;
}

// Upload locations are signed with it where they are signed at all.
const config = { http: { secret: 'the same for all replicas' } };

export async function startReplicas(storage: StorageKind = defaultStorage): Promise<Replicas> {
  const folder: TemporaryFolder = await temporaryFolder('berth-replicas-');
  const dataDir = `${folder.path}/data`;

  async function startReplica(): Promise<Replica & { stop(): Promise<void> }> {
    let server = await startBerth({ config, dataDir, storage });
    const port = Number(new URL(server.url).port);
    const client = createRegistryClient(server.url);
    return {
      client,
      get server() {
        return server;
      },
      kill: () => server.kill(),
      async restart() {
        await server.stop();
        server = await startBerth({ config, dataDir, storage, port });
      },
      async stop() {
        client.close();
        await server.stop();
      },
    };
  }

  const [a, b] = await Promise.all([startReplica(), startReplica()]);
  const balancer = await startBalancer([a.server.host, b.server.host]);
  const client = createRegistryClient(balancer.url);
  return {
    a,
    b,
    balancer: { ...balancer, client },
    async stop() {
      client.close();
      await balancer.stop();
      await Promise.all([a.stop(), b.stop()]);
      await folder.remove();
    },
  };
}
