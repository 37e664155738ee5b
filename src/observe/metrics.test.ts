import { register } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { createMetrics, type Metrics } from './metrics.ts';

const ended = { status: 200, bytesReceived: 0, bytesSent: 0 };

/** The lines of what Prometheus reads whose name begins so. */
async function linesOf(metrics: Metrics, name: string): Promise<string[]> {
  const { text } = await metrics.exposition();
  return text.split('\n').filter((line) => line.startsWith(name));
}

/** The upper bounds of a histogram with one series. */
async function boundsOf(metrics: Metrics, name: string): Promise<number[]> {
  const lines = await linesOf(metrics, `${name}_bucket`);
  return lines.map((line) => Number(/le="([^"]+)"/.exec(line)?.[1]?.replace('+Inf', 'Infinity')));
}

describe('a request', () => {
  test('is counted by handler, status and method when it has ended', async () => {
    const metrics = createMetrics();
    const end = metrics.begin('manifest', 'GET');
    expect(await linesOf(metrics, 'registry_http_requests_total')).toEqual([]);
    end({ ...ended, status: 404 });
    metrics.begin('manifest', 'GET')({ ...ended, status: 404 });
    metrics.begin('blob_upload_chunk', 'PATCH')({ ...ended, status: 202 });
    expect(await linesOf(metrics, 'registry_http_requests_total')).toEqual([
      'registry_http_requests_total{handler="manifest",code="404",method="get"} 2',
      'registry_http_requests_total{handler="blob_upload_chunk",code="202",method="patch"} 1',
    ]);
  });

  test('is in flight until then', async () => {
    const metrics = createMetrics();
    const end = metrics.begin('blob', 'GET');
    metrics.begin('blob', 'HEAD');
    expect(await linesOf(metrics, 'registry_http_in_flight')).toEqual([
      'registry_http_in_flight_requests{handler="blob"} 2',
    ]);
    end(ended);
    expect(await linesOf(metrics, 'registry_http_in_flight')).toEqual([
      'registry_http_in_flight_requests{handler="blob"} 1',
    ]);
  });

  test('has a duration in the buckets of distribution', async () => {
    const metrics = createMetrics();
    metrics.begin('blob', 'HEAD')(ended);
    const name = 'registry_http_request_duration_seconds';
    expect(await linesOf(metrics, `${name}_count`)).toEqual([`${name}_count{handler="blob",method="head"} 1`]);
    expect(await boundsOf(metrics, name)).toEqual([
      0.005,
      0.01,
      0.025,
      0.05,
      0.1,
      0.25,
      0.5,
      1,
      2.5,
      5,
      10,
      25,
      60,
      Number.POSITIVE_INFINITY,
    ]);
  });

  test.each([
    ['registry_http_request_size_bytes', 3000],
    ['registry_http_response_size_bytes', 70_000],
  ])('has sizes in the buckets of distribution: %s', async (name, size) => {
    const metrics = createMetrics();
    metrics.begin('blob', 'PUT')({ status: 201, bytesReceived: 3000, bytesSent: 70_000 });
    expect(await linesOf(metrics, `${name}_sum`)).toEqual([`${name}_sum{handler="blob"} ${size}`]);
    const bounds = await boundsOf(metrics, name);
    expect([bounds.length, bounds[0], bounds[1], bounds[21]]).toEqual([23, 1024, 2048, 2 ** 31]);
  });

  test('of a method that clients make up adds no labels', async () => {
    const metrics = createMetrics();
    for (let number = 0; number < 100; number++) metrics.begin('other', `M${number}`)(ended);
    for (const method of ['get', 'PROPFIND', '', 'x"} 1\nforged 1']) metrics.begin('other', method)(ended);
    expect(await linesOf(metrics, 'registry_http_requests_total')).toEqual([
      'registry_http_requests_total{handler="other",code="200",method="unknown"} 104',
    ]);
    expect(await linesOf(metrics, 'forged')).toEqual([]);
  });
});

describe('logins', () => {
  test('that failed are counted by what was wrong, and shown before the first one', async () => {
    const metrics = createMetrics();
    metrics.loginFailed('password');
    metrics.loginFailed('access token');
    metrics.loginFailed('password');
    expect(await linesOf(metrics, 'berth_auth_failures_total')).toEqual([
      'berth_auth_failures_total{reason="password"} 2',
      'berth_auth_failures_total{reason="access_token"} 1',
      'berth_auth_failures_total{reason="id_token"} 0',
      'berth_auth_failures_total{reason="login"} 0',
    ]);
  });

  test('that had to wait are counted', async () => {
    const metrics = createMetrics();
    expect(await linesOf(metrics, 'berth_auth_slowed_total')).toEqual(['berth_auth_slowed_total 0']);
    metrics.loginSlowed();
    expect(await linesOf(metrics, 'berth_auth_slowed_total')).toEqual(['berth_auth_slowed_total 1']);
  });
});

test('there are those of the process and of Node', async () => {
  const metrics = createMetrics();
  expect(await linesOf(metrics, 'process_cpu_seconds_total ')).toHaveLength(1);
  expect(await linesOf(metrics, 'nodejs_version_info')).toHaveLength(1);
  expect((await metrics.exposition()).contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
});

test('nothing is shared between two of them', async () => {
  const [one, another] = [createMetrics(), createMetrics()];
  one.begin('base', 'GET')(ended);
  expect(await linesOf(another, 'registry_http_requests_total')).toEqual([]);
  expect(register.getMetricsAsArray()).toEqual([]);
});

test('endpoints of one name are counted together', async () => {
  const metrics = createMetrics();
  const numbers = {
    name: 'same',
    events: 3,
    successes: 0,
    failures: 0,
    errors: 0,
    dropped: 1,
    pending: 2,
    statuses: {},
  };
  metrics.notifications(() => [numbers, numbers]);
  expect(await linesOf(metrics, 'registry_notifications_pending_total')).toEqual([
    'registry_notifications_pending_total{endpoint="same"} 4',
  ]);
  expect(await linesOf(metrics, 'berth_notifications_dropped_total')).toEqual([
    'berth_notifications_dropped_total{endpoint="same"} 2',
  ]);
});
