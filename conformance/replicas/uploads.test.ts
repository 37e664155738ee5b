import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noise } from '../clients/raw/artifact.ts';
import { locationOf, type RegistryClient, withDigest } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { type Replicas, startReplicas } from './replicas.ts';

const MiB = 1 << 20;

/** In bytes: below, at and above the sizes in which an object store takes the parts of an object (5 MiB at least). */
const chunkings: Readonly<Record<string, readonly number[]>> = {
  'of some bytes': [1, 10, 100, 1000, 1],
  'of 1 MiB': Array(8).fill(MiB),
  'of 5 MiB and a byte less and more': [5 * MiB, 5 * MiB - 1, 5 * MiB + 1, 3],
  'large, small, large': [12 * MiB, 7, 12 * MiB, 100_000, 6 * MiB],
};

/** A location without the replica that it names. */
function pathOf(location: string): string {
  const { pathname, search } = new URL(location, 'http://any');
  return pathname + search;
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

/** What `Range` says of an upload with so many bytes. */
const rangeOf = (size: number) => `0-${Math.max(0, size - 1)}`;

async function expectWhole(client: RegistryClient, repository: string, digest: string, bytes: Buffer): Promise<void> {
  const reply = await client.getBlob(repository, digest);
  expect(reply.status).toBe(200);
  expect(reply.body.equals(bytes)).toBe(true);
}

describe.each(['filesystem', 's3'] as const)('an upload through several replicas: %s', (storage) => {
  let replicas: Replicas;
  beforeAll(async () => {
    replicas = await startReplicas(storage);
  });
  afterAll(() => replicas?.stop());

  for (const [name, sizes] of Object.entries(chunkings)) {
    test.each([0, 1])(`chunks ${name} alternate, the status is asked of the other one (begun on %i)`, async (first) => {
      const both = [replicas.a.client, replicas.b.client];
      const at = (turn: number) => both[(turn + first) % 2] ?? replicas.a.client;
      const repository = `uploads/${first}`;
      const bytes = noise(
        `${name}, ${first}`,
        sizes.reduce((sum, size) => sum + size),
      );
      const { digest } = blob(bytes);
      let location = pathOf(await at(0).startUpload(repository));
      let sent = 0;
      for (const [turn, size] of sizes.entries()) {
        const body = bytes.subarray(sent, sent + size);
        const headers = { 'Content-Range': `${sent}-${sent + size - 1}` };
        sent += size;
        const reply = await at(turn).expect(202, 'PATCH', location, { headers, body });
        expect(reply.header('range')).toBe(rangeOf(sent));
        location = pathOf(locationOf(reply));
        expect((await at(turn + 1).expect(204, 'GET', location)).header('range')).toBe(rangeOf(sent));
      }
      await at(sizes.length).expect(201, 'PUT', withDigest(location, digest));
      for (const client of both) await expectWhole(client, repository, digest, bytes);
    });
  }

  test('as docker and containerd send it, through the balancer', async () => {
    const repository = 'uploads/balanced';
    const { balancer, a } = replicas;
    for (const [at, how] of (['whole', 'stream', 'chunks'] as const).entries()) {
      const content = blob(noise(`balanced ${at}`, 11 * MiB));
      await balancer.client.pushBlob(repository, content, how);
      await expectWhole(a.client, repository, content.digest, content.bytes);
    }
  });

  test('goes on through the other one after a crash between two chunks', async () => {
    const repository = 'uploads/crash-between';
    const { bytes, digest } = blob(noise('a crash between', 17 * MiB));
    const begun = pathOf(await replicas.a.client.startUpload(repository));
    const first = await replicas.a.client.expect(202, 'PATCH', begun, { body: bytes.subarray(0, 6 * MiB) });
    const second = await replicas.a.client.expect(202, 'PATCH', pathOf(locationOf(first)), {
      body: bytes.subarray(6 * MiB, 6 * MiB + 10),
    });
    const location = pathOf(locationOf(second));
    await replicas.a.kill();
    const status = await replicas.b.client.expect(204, 'GET', location);
    expect(status.header('range')).toBe(rangeOf(6 * MiB + 10));
    const rest = await replicas.b.client.expect(202, 'PATCH', location, { body: bytes.subarray(6 * MiB + 10) });
    await replicas.b.client.expect(201, 'PUT', withDigest(pathOf(locationOf(rest)), digest));
    await expectWhole(replicas.b.client, repository, digest, bytes);
    await replicas.a.restart();
    await expectWhole(replicas.a.client, repository, digest, bytes);
  });

  test('goes on through the other one after a crash in the middle of a chunk', async () => {
    const repository = 'uploads/crash-within';
    const { bytes, digest } = blob(noise('a crash within', 20 * MiB));
    const begun = pathOf(await replicas.a.client.startUpload(repository));
    const acknowledged = 1000;
    const first = await replicas.a.client.expect(202, 'PATCH', begun, { body: bytes.subarray(0, acknowledged) });
    const location = pathOf(locationOf(first));
    const sent = withResolver();
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let at = acknowledged; at < 13 * MiB; at += MiB) yield bytes.subarray(at, Math.min(at + MiB, 13 * MiB));
      sent.resolve();
      await new Promise<never>(() => {});
    }
    const sending = replicas.a.client.request('PATCH', location, { body: body() }).then(String, () => 'broken off');
    await sent.promise;
    await replicas.a.kill();
    expect(await sending).toBe('broken off');

    const status = await replicas.b.client.expect(204, 'GET', location);
    const kept = Number(status.header('range')?.slice(2)) + 1;
    expect(kept).toBeGreaterThanOrEqual(acknowledged);
    expect(kept).toBeLessThanOrEqual(13 * MiB);
    const rest = await replicas.b.client.expect(202, 'PATCH', location, { body: bytes.subarray(kept) });
    await replicas.b.client.expect(201, 'PUT', withDigest(pathOf(locationOf(rest)), digest));
    await expectWhole(replicas.b.client, repository, digest, bytes);
    await replicas.a.restart();
    await expectWhole(replicas.a.client, repository, digest, bytes);
  });

  test.each(['whole', 'stream', 'chunks'] as const)(
    'the same 30 MiB at the same time through both succeed and are whole: %s',
    async (how) => {
      const clients = [replicas.a.client, replicas.b.client, replicas.a.client, replicas.b.client];
      for (let round = 0; round < 3; round++) {
        const content = blob(noise(`identical ${how} ${round}`, 30 * MiB));
        await Promise.all(clients.map((client, at) => client.pushBlob(`uploads/same-${at % 3}`, content, how)));
        for (const [at, client] of clients.entries()) {
          await expectWhole(client, `uploads/same-${(at + 1) % 3}`, content.digest, content.bytes);
        }
      }
    },
  );
});
