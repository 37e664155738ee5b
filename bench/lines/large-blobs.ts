import { expectContent, pushBlob } from '../api.ts';
import { Content } from '../load/content.ts';
import type { Flow } from '../load/jobs.ts';
import type { Server } from '../server.ts';
import { type Bench, firstNumber, type Line, type Scenario } from './line.ts';

const mib = 1 << 20;

/** Blobs that one measurement pushes, by all clients together at least. */
const blobsPerTurn = 4;

/** Warm-ups push blobs of a quarter of the size, at most. */
function warmUpSize(size: number): number {
  return Math.max(mib, Math.floor(size / 4 / mib) * mib);
}

/** Reading one large blob. It fits into the page cache, so that the registry and not the disk is measured. */
export function pullScenario({ load, sizes, signal }: Bench, clients: readonly number[]): Scenario {
  const size = sizes.blobMib * mib;
  let path = '';
  let digest = '';

  function line(clients: number): Line {
    return {
      name: `${sizes.blobMib} MiB blob GET, ${clients} client${clients > 1 ? 's' : ''}`,
      unit: 'MB/s',
      bytesPerOperation: size,
      aim: { ratio: 1 },
      async check({ url }) {
        await expectContent(url + path, digest, signal);
        return undefined;
      },
      prepare: ({ port }, { seconds }) => load.prepare({ kind: 'pull', port, clients, path, size, seconds }, signal),
    };
  }

  return {
    fresh: false,
    spacePerRound: 0,
    async fill({ url }: Server) {
      const content = new Content(size);
      digest = content.digest(0);
      path = `/v2/pull/large/blobs/${digest}`;
      await pushBlob(url, 'pull/large', Buffer.concat([...content.plain(0)]), signal);
    },
    lines: clients.map(line),
  };
}

/** Pushing large blobs in one of the ways of the clients. */
export function pushScenario({ load, sizes, signal }: Bench, flow: Flow, clients: number): Scenario {
  const size = sizes.blobMib * mib;
  const blobsPerClient = Math.ceil(blobsPerTurn / clients);
  const line: Line = {
    name: `${sizes.blobMib} MiB push ${flow}, ${clients} client${clients > 1 ? 's' : ''}`,
    unit: 'MB/s',
    bytesPerOperation: size,
    aim: { ratio: 1.5 },
    prepare({ port }, turn) {
      const job = {
        kind: 'push',
        port,
        clients,
        flow,
        repository: 'push/large',
        firstNumber: firstNumber(turn),
      } as const;
      if (turn.warmUp) return load.prepare({ ...job, size: warmUpSize(size), blobsPerClient: 1 }, signal);
      return load.prepare({ ...job, size, blobsPerClient }, signal);
    },
  };
  return { fresh: false, spacePerRound: clients * (blobsPerClient * size + warmUpSize(size)), lines: [line] };
}

/** How much memory a registry takes that has never been busy before, when many large pushes arrive at once. */
export function memoryScenario({ load, sizes, signal }: Bench, clients: number): Scenario {
  const size = sizes.blobMib * mib;
  const line: Line = {
    name: `memory: ${clients} pushes of ${sizes.blobMib} MiB at once`,
    unit: 'MB/s',
    aim: { peakMemory: 200 * mib },
    prepare: ({ port }, turn) =>
      load.prepare(
        {
          kind: 'push',
          port,
          clients,
          flow: 'POST+PATCH+PUT',
          repository: 'push/large',
          firstNumber: firstNumber(turn),
          size,
          blobsPerClient: 1,
        },
        signal,
      ),
  };
  return { fresh: true, spacePerRound: clients * size, lines: [line] };
}
