import { Hono } from 'hono';
import type { App } from './app.ts';
import type { Log } from './log.ts';
import type { AppEnv } from './request.ts';

export interface DebugOptions {
  /** What Prometheus reads, and at which path; absent: there is nothing to read. */
  readonly prometheus?:
    | {
        readonly path: string;
        exposition(): Promise<{ readonly contentType: string; readonly text: string }>;
      }
    | undefined;
  /** Checks that fail, by name, with their reason; undefined: none. */
  failing(): Readonly<Record<string, string>> | undefined;
  readonly log: Log;
}

/**
 * What `http.debug.addr` serves: metrics, and which checks fail, as distribution has them. Not distribution's `/debug/vars`
 * and `/debug/pprof`, which show what the process holds, secrets too.
 */
export function createDebugApp({ prometheus, failing, log }: DebugOptions): Pick<App, 'fetch' | 'request'> {
  const app = new Hono<AppEnv>();
  app.get('/debug/health', (context) => {
    const faults = failing();
    const headers = { 'Content-Type': 'application/json; charset=utf-8' };
    return context.body(JSON.stringify(faults ?? {}), faults === undefined ? 200 : 503, headers);
  });
  if (prometheus !== undefined) {
    app.get(prometheus.path, async (context) => {
      const { contentType, text } = await prometheus.exposition();
      return context.body(text, 200, { 'Content-Type': contentType });
    });
  }
  app.notFound((context) => context.text('no such page\n', 404));
  app.onError((error, context) => {
    log.error('the debug server failed', { error });
    return context.text('internal error; the log says which\n', 500);
  });
  const { fetch, request } = app;
  return { fetch: fetch.bind(app), request: request.bind(app) };
}
