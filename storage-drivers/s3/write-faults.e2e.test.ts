import { paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StorageError } from '../driver.ts';
import type { Fault, FaultProxy } from './testing/fault-proxy.ts';
import { startFaultProxy } from './testing/fault-proxy.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';
import { deleteUploads, type WriteScenario, writeScenarios } from './testing/write-scenarios.ts';

let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
}, 60_000);
afterAll(() => storage.dispose(), 60_000);

let roots = 0;

/** An empty storage with a proxy of its own in the bucket of all tests. */
async function emptyStorage() {
  roots += 1;
  const rootdirectory = `/root-${roots}`;
  const { bucket } = storage;
  const proxy: FaultProxy = await startFaultProxy({ endpoint: bucket.server.endpoint });
  const truth = storage.another({ regionendpoint: bucket.server.endpoint, rootdirectory });
  return {
    proxy,
    truth,
    driver: storage.another({ regionendpoint: proxy.endpoint, rootdirectory }),
    uploads: async () => (await storage.uploads()).filter((key) => key.startsWith(`${rootdirectory.slice(1)}/`)),
    async objects() {
      const paths: string[] = [];
      const query = { Bucket: bucket.name, Prefix: `${rootdirectory.slice(1)}/` };
      for await (const { Contents = [] } of paginateListObjectsV2({ client: bucket.client }, query)) {
        paths.push(...Contents.map(({ Key = '' }) => Key.slice(rootdirectory.length - 1)));
      }
      return paths;
    },
  };
}

type Empty = Awaited<ReturnType<typeof emptyStorage>>;

async function expectDone({ truth, objects }: Empty, { after }: WriteScenario, label: string): Promise<void> {
  for (const [path, bytes] of Object.entries(after))
    expect((await truth.get(path)).equals(bytes), `${label} ${path}`).toBe(true);
  expect(await objects(), label).toEqual(Object.keys(after).sort());
}

/** What a scenario asks of the server. */
async function operationsOf(scenario: WriteScenario): Promise<string[]> {
  const empty = await emptyStorage();
  await scenario.prepare?.(empty.truth);
  await scenario.run(empty.driver);
  await expectDone(empty, scenario, 'no fault');
  expect(await empty.uploads()).toEqual([]);
  await empty.proxy.close();
  return [...new Set(empty.proxy.operations)];
}

const conflict: Fault = { kind: 'answer', status: 409, code: 'OperationAborted' };
const passing: readonly Fault[] = [
  { kind: 'answer', status: 503, code: 'SlowDown' },
  { kind: 'answer', status: 500, code: 'InternalError' },
  conflict,
  { kind: 'reset-request' },
  { kind: 'reset-request', after: 100_000 },
  { kind: 'lose-answer' },
  { kind: 'cut-answer', after: 0, how: 'reset' },
  { kind: 'close-idle' },
  { kind: 'answer', status: 200 },
];

describe.each(writeScenarios.map((scenario) => [scenario.name, scenario] as const))(
  '%s',
  { timeout: 120_000 },
  (_, scenario) => {
    test('succeeds in spite of each fault that passes, at each of its requests', async () => {
      const seen: string[] = [];
      for (const operation of await operationsOf(scenario)) {
        // A HEAD has no body that could name the code.
        const faults = passing.filter((fault) => operation !== 'HeadObject' || fault !== conflict);
        await Promise.all(
          faults.map(async (fault) => {
            const empty = await emptyStorage();
            await scenario.prepare?.(empty.truth);
            empty.proxy.inject({ fault, operations: [operation], times: 1 });
            const label = `${operation} ${JSON.stringify(fault)}`;
            await expect(scenario.run(empty.driver), label).resolves.toBeUndefined();
            await expectDone(empty, scenario, label);
            // Nobody was told of an upload whose creation was not answered: that is for the rules of the bucket.
            const lost = fault.kind === 'lose-answer' || fault.kind === 'cut-answer';
            const unknown = operation === 'CreateMultipartUpload' && lost ? 1 : 0;
            expect(await empty.uploads(), label).toHaveLength(unknown);
            await empty.proxy.close();
            seen.push(label);
          }),
        );
      }
      expect(seen.length).toBeGreaterThanOrEqual(passing.length);
    });

    test('fails in the words of the contract when a fault does not pass, and leaves nothing half', async () => {
      const lasting: readonly Fault[] = [{ kind: 'answer', status: 503, code: 'SlowDown' }, { kind: 'lose-answer' }];
      const cases = (await operationsOf(scenario)).flatMap((operation) =>
        lasting.map((fault) => ({ operation, fault })),
      );
      await Promise.all(
        cases.map(async ({ operation, fault }) => {
          const label = `${operation} ${JSON.stringify(fault)}`;
          const empty = await emptyStorage();
          await scenario.prepare?.(empty.truth);
          empty.proxy.inject({ fault, operations: [operation] });
          const outcome = await scenario.run(empty.driver).then(
            () => 'done',
            (error: unknown) => error,
          );
          if (outcome !== 'done') {
            expect(outcome, label).toBeInstanceOf(StorageError);
            expect(outcome, label).toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
          }
          empty.proxy.clear();
          await deleteUploads(empty.driver);
          // What a writer put aside for itself stays when it may delete nothing.
          const aside = (path: string) => operation === 'DeleteObjects' && path.startsWith('/object.');
          const paths = (await empty.objects()).filter((path) => !aside(path));
          expect(Object.keys(scenario.failed), label).toEqual(expect.arrayContaining(paths));
          for (const path of paths) {
            const content = await empty.truth.get(path);
            const whole = scenario.failed[path]?.some((bytes) => bytes !== undefined && content.equals(bytes));
            expect(whole, `${label} ${path}`).toBe(true);
          }
          for (const [path, admitted] of Object.entries(scenario.failed)) {
            if (!paths.includes(path)) expect(admitted, `${label} ${path}`).toContain(undefined);
          }
          if (operation !== 'CreateMultipartUpload') expect(await empty.uploads(), label).toEqual([]);
          await empty.proxy.close();
        }),
      );
    });
  },
);
