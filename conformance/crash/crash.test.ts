import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import type { Server } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { startRegistry } from '../harness/under-test.ts';
import { Ledger } from './ledger.ts';
import { createRandom } from './random.ts';
import { verify } from './verify.ts';
import { pushes, pushRound } from './workload.ts';

const crashes = 10;
/** Set `CRASH_SEED` to the printed number to have the same crashes again. */
const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 32));

let folder: TemporaryFolder;
const ledger = new Ledger();
const random = createRandom(seed);
/** Responses in a round that nothing disturbs. */
let responses = 0;

beforeAll(async () => {
  folder = await temporaryFolder('berth-crash-');
});

afterAll(() => folder?.remove());

/** Starts berth on the volume, with a client that calls `onReply` after every response. */
async function start(onReply: () => void = () => {}): Promise<{ server: Server; client: RegistryClient }> {
  const server = await startRegistry({ dataDir: `${folder.path}/data` });
  return { server, client: createRegistryClient(server.url, { onReply }) };
}

/** What a request ends with whose server is killed. */
function isDisconnection(fault: unknown): boolean {
  const code = fault instanceof Error && 'code' in fault ? fault.code : undefined;
  return code === 'ECONNRESET' || code === 'ECONNREFUSED' || code === 'EPIPE';
}

/** Verifies the volume through a server that has just started. */
async function verifyAnew(): Promise<void> {
  const { server, client } = await start();
  const faults = await verify(client, ledger);
  client.close();
  await server.stop();
  if (faults.length === 0) return;
  // The rest of the log is one line for each request.
  const log = server
    .logs()
    .split('\n')
    .filter((line) => !line.includes('"access"'))
    .join('\n');
  throw new Error(`${faults.length} faults:\n${faults.map(({ message }) => message).join('\n')}\n${log}`);
}

describe(`kill -9 during ${pushes} pushes at the same time (CRASH_SEED=${seed})`, () => {
  test('a round without it leaves what was acknowledged', async () => {
    const { server, client } = await start(() => responses++);
    expect(await pushRound(client, ledger, 0, random)).toEqual([]);
    client.close();
    await server.stop();
    await verifyAnew();
  });

  test.each(Array.from({ length: crashes }, (_, at) => at + 1))(
    'crash %i loses nothing that was acknowledged',
    async (round) => {
      const moment = Math.floor(random() * responses);
      console.log(`crash ${round}: after ${moment} of ${responses} responses`);
      let count = 0;
      let killed: Promise<void> | undefined;
      const { server, client } = await start(() => {
        if (++count > moment) killed ??= server.kill();
      });
      const faults = await pushRound(client, ledger, round, random);
      expect(faults.filter((fault) => !isDisconnection(fault))).toEqual([]);
      expect(killed, 'the crash, before all pushes had ended').toBeDefined();
      await killed;
      client.close();
      await server.stop();
      ledger.died();
      await verifyAnew();
    },
  );
});
