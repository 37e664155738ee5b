import type { Command } from 'commander';
import { formatDuration } from '../config/duration.ts';
import {
  type EndpointSummary,
  type MirrorStatus,
  readMirrorStatus,
  statusStore,
  type UpstreamSummary,
} from '../mirroring/status.ts';
import { createSharedStore } from '../shared-store.ts';
import { formatBytes } from './byte-size.ts';
import { configureMirror } from './configure-mirror.ts';
import { withStorage } from './shared-store.ts';
import { printTable } from './table.ts';
import { warn } from './warn.ts';

export function addMirrorStatus(mirror: Command): void {
  mirror
    .command('status')
    .argument('[config]', 'the configuration file')
    .summary('say what each upstream was good for, and how it is')
    .description(
      'Adds up what all servers on the storage have done for each upstream: requests that were answered with what was kept (hits), with what came from there (misses), and with what was kept because it could not be asked (stale). Of those that run it shows circuit breakers and what is left of rate limits. Servers write this down every ten seconds.',
    )
    .option('--json', 'as JSON, with all there is')
    .action(async (path: string | undefined, { json }: { json?: boolean }) => {
      const { config, source } = await configureMirror(path);
      const status = await withStorage(config, source, (driver) =>
        readMirrorStatus(createSharedStore(driver, statusStore), warn),
      );
      if (json) console.log(JSON.stringify(status, undefined, 2));
      else print(status);
    });
}

function print({ since, processes, upstreams }: MirrorStatus): void {
  if (since === undefined) {
    console.log('no server has mirrored anything on this storage');
    return;
  }
  printTable(
    ['UPSTREAM', 'TYPE', 'HITS', 'MISSES', 'STALE', 'FROM UPSTREAM', 'TO CLIENTS'],
    upstreams.flatMap((upstream) => [rowOf(upstream, 'manifest'), rowOf(upstream, 'blob')]),
  );
  console.log();
  printTable(
    ['UPSTREAM', 'ENDPOINT', 'CIRCUIT BREAKER', 'RATE LIMIT LEFT', 'ERRORS'],
    upstreams.flatMap(({ name, endpoints }) =>
      endpoints.map((endpoint) => [
        name,
        endpoint.url,
        breakerOf(endpoint),
        limitOf(endpoint),
        Object.entries(endpoint.errors)
          .filter(([, count]) => count > 0)
          .map(([kind, count]) => `${count} ${kind}`)
          .join(', ') || '-',
      ]),
    ),
  );
  console.log();
  const { running, ended } = processes;
  console.log(
    `${running} ${running === 1 ? 'server runs' : 'servers run'}, ${ended} ${ended === 1 ? 'has' : 'have'} ended; counted since ${since.toISOString()}`,
  );
}

function rowOf(upstream: UpstreamSummary, type: 'manifest' | 'blob'): string[] {
  const { hits, misses, stale, pulledBytes, pushedBytes } = upstream[type];
  return [
    upstream.name,
    type,
    ...[hits, misses, stale].map(String),
    formatBytes(pulledBytes),
    formatBytes(pushedBytes),
  ];
}

/** `closed`; where servers differ, how many are at what. */
function breakerOf({ breakers }: EndpointSummary): string {
  const states = [...new Set(breakers.map(({ state }) => state))];
  const texts = states.map((state) => {
    const those = breakers.filter((breaker) => breaker.state === state);
    const until = Math.max(...those.map(({ until }) => until ?? 0));
    const time = until > 0 ? ` until ${new Date(until).toISOString()}` : '';
    return `${state}${time}${states.length > 1 ? ` (${those.length} of ${breakers.length})` : ''}`;
  });
  return texts.join(', ') || '-';
}

function limitOf({ rateLimit }: EndpointSummary): string {
  if (rateLimit?.remaining === undefined) return '-';
  const { limit, remaining, window } = rateLimit;
  return `${remaining}${limit === undefined ? '' : ` of ${limit}`}${window === undefined ? '' : ` in ${formatDuration(1000 * window)}`}`;
}
