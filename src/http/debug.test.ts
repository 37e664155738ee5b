import { expect, it } from 'vitest';
import { createDebugApp } from './debug.ts';
import { createRecordingLog } from './listen/testing/recording-log.ts';

const exposition = async () => ({ contentType: 'text/plain; version=0.0.4', text: 'metric 1\n' });

function setUp(options: Partial<Parameters<typeof createDebugApp>[0]> = {}) {
  const log = createRecordingLog();
  return { log, app: createDebugApp({ failing: () => undefined, log, ...options }) };
}

it('has the metrics at their path', async () => {
  const { app } = setUp({ prometheus: { path: '/my/metrics', exposition } });
  const response = await app.request('/my/metrics');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4');
  expect(await response.text()).toBe('metric 1\n');
  expect((await app.request('/metrics')).status).toBe(404);
});

it('says that no check fails', async () => {
  const response = await setUp().app.request('/debug/health');
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(await response.json()).toEqual({});
});

it('says which checks fail, and why', async () => {
  const response = await setUp({ failing: () => ({ storagedriver: 'disk gone' }) }).app.request('/debug/health');
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ storagedriver: 'disk gone' });
});

it.each(['/', '/metrics', '/debug', '/debug/vars', '/debug/pprof/', '/debug/health/down', '/v2/'])(
  'has nothing at %s when nothing was asked for',
  async (path) => {
    expect((await setUp().app.request(path)).status).toBe(404);
  },
);

it('changes nothing', async () => {
  const { app } = setUp({ prometheus: { path: '/metrics', exposition } });
  for (const path of ['/metrics', '/debug/health', '/debug/health/down']) {
    expect((await app.request(path, { method: 'POST' })).status).toBe(404);
  }
});

it('logs a fault inside and keeps it to itself', async () => {
  const failing = () => {
    throw new Error('hidden');
  };
  const { app, log } = setUp({ failing });
  const response = await app.request('/debug/health');
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain('hidden');
  expect(log.lines.map(({ level }) => level)).toEqual(['error']);
});
