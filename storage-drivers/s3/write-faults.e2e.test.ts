import { randomBytes } from 'node:crypto';
import { paginateListObjectsV2 } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { StorageError } from '../driver.ts';
import { limits } from './client.ts';
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

describe('uploads of the same bytes', { timeout: 60_000 }, () => {
  const content = randomBytes(6 * 1024 * 1024);
  async function upload({ driver }: Empty, id: string): Promise<void> {
    const writer = await driver.writer(`/uploads/${id}/data`, { append: true, to: '/blob' });
    await writer.write(content);
    await writer.commit('/blob');
  }

  test('at the same time all succeed, under lost answers too, and leave one object', async () => {
    const empty = await emptyStorage();
    const operations = ['CompleteMultipartUpload', 'UploadPart', 'AbortMultipartUpload'];
    empty.proxy.inject({ fault: { kind: 'lose-answer' }, operations, probability: 0.3 });
    await Promise.all(Array.from({ length: 8 }, (_, id) => upload(empty, String(id))));
    await empty.driver.delete('/uploads');
    expect((await empty.truth.get('/blob')).equals(content)).toBe(true);
    expect(await empty.objects()).toEqual(['/blob']);
    expect(await empty.uploads()).toEqual([]);
    await empty.proxy.close();
  });

  test('need not be completed where the object is there already, and do not stay', async () => {
    const empty = await emptyStorage();
    await upload(empty, '1');
    empty.proxy.inject({
      fault: { kind: 'answer', status: 500, code: 'InternalError' },
      operations: ['CompleteMultipartUpload'],
    });
    await upload(empty, '2');
    // As whoever committed it: nobody looks for what else is there.
    for (const id of ['1', '2']) await empty.driver.delete(`/uploads/${id}`, { names: ['data'] });
    expect(await empty.objects()).toEqual(['/blob']);
    expect((await empty.truth.get('/blob')).equals(content)).toBe(true);
    expect(await empty.uploads()).toEqual([]);
    await empty.proxy.close();
  });

  test('are not taken for stored because an older object has the same size', async () => {
    const empty = await emptyStorage();
    const old = randomBytes(content.length);
    await empty.truth.put('/blob', old);
    for (const fault of [
      { kind: 'answer', status: 500, code: 'InternalError' },
      { kind: 'answer', status: 404, code: 'NoSuchUpload' },
    ] satisfies Fault[]) {
      const remove = empty.proxy.inject({ fault, operations: ['CompleteMultipartUpload'] });
      await expect(upload(empty, '1')).rejects.toBeInstanceOf(StorageError);
      expect((await empty.truth.get('/blob')).equals(old)).toBe(true);
      expect(await empty.uploads()).toEqual([]);
      remove();
    }
    await upload(empty, '1');
    expect((await empty.truth.get('/blob')).equals(content)).toBe(true);
    await empty.proxy.close();
  });

  test('are deleted by two at the same time', async () => {
    const empty = await emptyStorage();
    empty.proxy.inject({ fault: { kind: 'stall', at: 'answer', ms: 300 }, operations: ['ListObjectsV2'] });
    await empty.truth.put('/uploads/1/startedat', Buffer.from('x'));
    const writer = await empty.driver.writer('/uploads/1/data', { append: true, to: '/blob' });
    for (let pieces = 0; pieces < 2; pieces += 1) await writer.write(content);
    expect(await empty.uploads()).toHaveLength(1);
    await Promise.all([empty.truth.delete('/uploads/1'), empty.driver.delete('/uploads/1')]);
    await expect(writer.commit('/blob')).rejects.toBeInstanceOf(StorageError);
    await writer.cancel();
    expect(await empty.uploads()).toEqual([]);
    expect(await empty.objects()).toEqual([]);
    await empty.proxy.close();
  });
});

describe('silence', { timeout: 60_000 }, () => {
  const usual = { ...limits };
  afterEach(() => void Object.assign(limits, usual));

  test('while a part is sent ends with the idle limit, and the next attempt gets it', async () => {
    // Longer than what the SDK puts off setting a limit for.
    limits.idle = 6_500;
    const content = randomBytes(11 * 1024 * 1024);
    const empty = await emptyStorage();
    for (const at of ['request', 'answer'] as const) {
      empty.proxy.inject({ fault: { kind: 'stall', at, ms: 60_000 }, operations: ['UploadPart'], times: 1 });
    }
    const writer = await empty.driver.writer('/uploads/1/data', { append: true, to: '/blob' });
    await writer.write(content);
    await writer.commit('/blob');
    expect((await empty.truth.get('/blob')).equals(content)).toBe(true);
    expect(await empty.uploads()).toEqual([]);
    await empty.proxy.close();
  });

  test('before the answer to a put ends with the time limit; what comes of it later is the same', async () => {
    limits.answer = 300;
    const empty = await emptyStorage();
    for (const at of ['request', 'answer'] as const) {
      empty.proxy.inject({ fault: { kind: 'stall', at, ms: 60_000 }, operations: ['PutObject'], times: 1 });
    }
    await empty.driver.put('/link', Buffer.from('the link'));
    expect((await empty.truth.get('/link')).toString()).toBe('the link');
    expect(empty.proxy.operations).toEqual(['PutObject', 'PutObject', 'PutObject']);
    await empty.proxy.close();
  });
});
