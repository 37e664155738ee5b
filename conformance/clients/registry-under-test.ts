import type { Server } from '../harness/server.ts';
import { givenUrl, startRegistry } from '../harness/under-test.ts';

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
  if (givenUrl !== undefined) {
    return { url: givenUrl, host: new URL(givenUrl).host, server: undefined, stop: async () => {} };
  }
  const server = await startRegistry();
  return { url: server.url, host: server.host, server, stop: server.stop };
}
