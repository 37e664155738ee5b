import { setTimeout as backOff } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Artifact, noiseImage } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { type Replica, type Replicas, startReplicas } from './replicas.ts';

const pushes = 100;
/** Attempts of one push; each crash can cost it one, or two where the balancer asks the dead one again. */
const attempts = 10;

interface Push {
  readonly repository: string;
  readonly tag: string;
  readonly image: Artifact;
}

/** What a client sees of a replica that died: from the balancer, where its connection to it broke, or while it starts again. */
function isCrash(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ECONNRESET' || code === 'EPIPE' || / → (502|503|504) /.test(String(error));
}

/** Pushes until it is acknowledged, as clients do that try again. @returns the number of attempts */
async function pushAgain(client: RegistryClient, { repository, tag, image }: Push): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      for (const [at, content] of image.blobs.entries()) {
        await client.pushBlob(repository, content, (['whole', 'stream', 'chunks'] as const)[at % 3]);
      }
      await client.pushManifest(repository, tag, image.manifest);
      return attempt;
    } catch (error) {
      if (!isCrash(error) || attempt === attempts) throw error;
      await backOff(20 * 2 ** attempt);
    }
  }
}

async function expectWhole(client: RegistryClient, { repository, tag, image }: Push): Promise<void> {
  const name = `${repository}:${tag}`;
  expect((await client.getManifest(repository, tag)).body, name).toEqual(image.manifest.bytes);
  for (const { digest, bytes } of image.blobs) {
    const reply = await client.getBlob(repository, digest);
    expect([reply.status, reply.body.equals(bytes)], `${name}, ${digest}`).toEqual([200, true]);
  }
}

describe.each(['filesystem', 's3'] as const)(
  'kill -9 of a replica during pushes through the balancer: %s',
  (storage) => {
    let replicas: Replicas;
    beforeAll(async () => {
      replicas = await startReplicas(storage);
    });
    afterAll(() => replicas?.stop());

    test.each([1, 2])('loses nothing that was acknowledged, and who tries again succeeds (round %i)', async (round) => {
      const work = Array.from({ length: pushes }, (_, at): Push => {
        const image = noiseImage(`round ${round}, push ${at}`, { layers: 3, size: 5000 });
        return { repository: `crash/r${at % 10}`, tag: `round-${round}-${at}`, image };
      });
      let replies = 0;
      const crashed: Replica[] = [];
      const restarts: Promise<void>[] = [];
      /** After so many replies; some 1000 belong to a round. One at a time is gone: 300 replies take longer than a start. */
      const moments = new Map([
        [50 + 70 * round, replicas.a],
        [500 + 70 * round, replicas.b],
      ]);
      const client = createRegistryClient(replicas.balancer.url, {
        onReply() {
          const replica = moments.get(++replies);
          if (replica === undefined) return;
          crashed.push(replica);
          restarts.push(
            Promise.all(restarts)
              .then(() => replica.kill())
              .then(() => replica.restart()),
          );
        },
      });
      const needed = await Promise.all(work.map((push) => pushAgain(client, push)));
      await Promise.all(restarts);
      client.close();
      expect(crashed).toHaveLength(2);
      expect(Math.max(...needed), 'a push that a crash has hit').toBeGreaterThan(1);

      for (const { client: one } of [replicas.a, replicas.b]) {
        for (const push of work) await expectWhole(one, push);
        const tags = await Promise.all(Array.from({ length: 10 }, (_, at) => one.tags(`crash/r${at}`)));
        expect(tags.flat()).toEqual(expect.arrayContaining(work.map(({ tag }) => tag)));
        expect(tags.flat()).toHaveLength(pushes * round);
      }
    });
  },
);
