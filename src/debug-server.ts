import type { Config } from './config/schema.ts';
import { createDebugApp } from './http/debug.ts';
import { type Listening, listen } from './http/listen.ts';
import type { Log } from './http/log.ts';
import type { Metrics } from './observe/metrics.ts';

type DebugConfig = Config['http']['debug'];

/** Undefined where nobody could read them: then nothing is measured, and what measures is not even loaded. */
export async function openMetrics({ addr, prometheus }: DebugConfig): Promise<Metrics | undefined> {
  if (addr === undefined || !prometheus.enabled) return undefined;
  const { createMetrics } = await import('./observe/metrics.ts');
  return createMetrics();
}

export interface DebugServerOptions {
  readonly metrics: Metrics | undefined;
  /** Checks that fail, by name, with their reason; undefined: none. */
  failing(): Readonly<Record<string, string>> | undefined;
  readonly log: Log;
}

/**
 * `http.debug`. In clear text, whatever the registry speaks: it is for those who run it, in their own network.
 *
 * @returns undefined when there shall be none
 * @throws ListenError
 */
export async function startDebugServer(
  { addr, prometheus }: DebugConfig,
  { metrics, failing, log }: DebugServerOptions,
): Promise<Listening | undefined> {
  if (addr === undefined) return undefined;
  const app = createDebugApp({
    prometheus: metrics && { path: prometheus.path, exposition: metrics.exposition },
    failing,
    log,
  });
  const listening = await listen(app.fetch, { addr, key: 'http.debug.addr', log });
  log.info('the debug server listens', { address: listening.address });
  return listening;
}
