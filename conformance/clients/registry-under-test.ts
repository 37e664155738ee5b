import { startRegistry } from '../api/registry.ts';
import type { Server } from '../harness/server.ts';

/** The registry that the clients talk to. */
export interface RegistryUnderTest {
  readonly url: string;
  /** `127.0.0.1:<port>` */
  readonly host: string;
  /** The process, when this run has started it. */
  readonly server: Server | undefined;
  stop(): Promise<void>;
}

/** A fresh registry with deletion on; or the one (plain HTTP) that `BERTH_URL` names. */
export async function startRegistryUnderTest(): Promise<RegistryUnderTest> {
  const given = process.env.BERTH_URL;
  if (given !== undefined) {
    const { origin, host } = new URL(given);
    return { url: origin, host, server: undefined, stop: async () => {} };
  }
  const server = await startRegistry();
  return { url: server.url, host: server.host, server, stop: server.stop };
}
