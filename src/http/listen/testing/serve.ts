import type { HttpBindings } from '@hono/node-server';
import type { Hono } from 'hono';
import { onTestFinished } from 'vitest';
import { type Listening, type ListenOptions, listen } from '../../listen.ts';
import { createRecordingLog } from './recording-log.ts';

export type TestApp = Hono<{ Bindings: HttpBindings }>;

/** Serves `app` on a free port of this machine until the test is over. */
export async function serve(app: Pick<TestApp, 'fetch'>, options: Partial<ListenOptions> = {}) {
  const log = createRecordingLog();
  const listening: Listening = await listen(app.fetch, { addr: '127.0.0.1:0', log, ...options });
  onTestFinished(() => listening.drain(0));
  const port = Number(new URL(listening.url.replace(/^unix:.*/, 'http://localhost:0')).port);
  return { ...listening, log, port, target: { host: '127.0.0.1', port } };
}
