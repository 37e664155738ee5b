import { expect, test } from 'vitest';
import { createMetrics } from '../metrics.ts';
import type { MirrorNumbers, UpstreamNumbers } from './mirror.ts';

const nothing = { hits: 0, misses: 0, stale: 0, pulledBytes: 0, pushedBytes: 0 };

function upstream(name: string, numbers: Partial<UpstreamNumbers> = {}): UpstreamNumbers {
  const errors = { unreachable: 0, throttled: 0 };
  const endpoint = { url: `https://${name}`, errors, breaker: { state: 'closed' }, rateLimit: undefined } as const;
  return { name, manifest: nothing, blob: nothing, endpoints: [endpoint], ...numbers };
}

test('a mirror is counted as a proxy of distribution is, and by upstream', async () => {
  const metrics = createMetrics();
  let numbers: MirrorNumbers = { upstreams: [upstream('a'), upstream('b')], downloads: 0 };
  metrics.mirrors(() => numbers);
  const lines = async (...beginnings: string[]) =>
    (await metrics.exposition()).text
      .split('\n')
      .filter((line) => beginnings.some((beginning) => line.startsWith(beginning)));

  // From the beginning on, so that an increase can be seen from there.
  expect(await lines('registry_proxy_requests')).toEqual([
    'registry_proxy_requests_total{type="manifest"} 0',
    'registry_proxy_requests_total{type="blob"} 0',
  ]);
  numbers = {
    upstreams: [
      upstream('a', { manifest: { hits: 4, misses: 2, stale: 1, pulledBytes: 20, pushedBytes: 70 } }),
      upstream('b', {
        manifest: { ...nothing, hits: 10 },
        blob: { ...nothing, misses: 3, pulledBytes: 3000 },
        endpoints: [
          {
            url: 'https://b',
            errors: { unreachable: 5, throttled: 0 },
            breaker: { state: 'open' },
            rateLimit: { limit: undefined, remaining: 7 },
          },
        ],
      }),
    ],
    downloads: 2,
  };
  // Read again, and not added to what was there.
  await metrics.exposition();
  expect(await lines('registry_proxy_')).toEqual([
    'registry_proxy_requests_total{type="manifest"} 17',
    'registry_proxy_requests_total{type="blob"} 3',
    'registry_proxy_hits_total{type="manifest"} 15',
    'registry_proxy_hits_total{type="blob"} 0',
    'registry_proxy_misses_total{type="manifest"} 2',
    'registry_proxy_misses_total{type="blob"} 3',
    'registry_proxy_pulled_bytes_total{type="manifest"} 20',
    'registry_proxy_pulled_bytes_total{type="blob"} 3000',
    'registry_proxy_pushed_bytes_total{type="manifest"} 70',
    'registry_proxy_pushed_bytes_total{type="blob"} 0',
  ]);
  expect(await lines('berth_mirror_requests_total{upstream="a",type="manifest"')).toEqual([
    'berth_mirror_requests_total{upstream="a",type="manifest",outcome="hit"} 4',
    'berth_mirror_requests_total{upstream="a",type="manifest",outcome="miss"} 2',
    'berth_mirror_requests_total{upstream="a",type="manifest",outcome="stale"} 1',
  ]);
  expect(await lines('berth_mirror_errors', 'berth_mirror_breaker', 'berth_mirror_rate', 'berth_mirror_down')).toEqual([
    'berth_mirror_errors_total{upstream="a",endpoint="https://a",reason="unreachable"} 0',
    'berth_mirror_errors_total{upstream="a",endpoint="https://a",reason="throttled"} 0',
    'berth_mirror_errors_total{upstream="b",endpoint="https://b",reason="unreachable"} 5',
    'berth_mirror_errors_total{upstream="b",endpoint="https://b",reason="throttled"} 0',
    'berth_mirror_breaker_state{upstream="a",endpoint="https://a",state="closed"} 1',
    'berth_mirror_breaker_state{upstream="a",endpoint="https://a",state="open"} 0',
    'berth_mirror_breaker_state{upstream="a",endpoint="https://a",state="probing"} 0',
    'berth_mirror_breaker_state{upstream="a",endpoint="https://a",state="throttled"} 0',
    'berth_mirror_breaker_state{upstream="b",endpoint="https://b",state="closed"} 0',
    'berth_mirror_breaker_state{upstream="b",endpoint="https://b",state="open"} 1',
    'berth_mirror_breaker_state{upstream="b",endpoint="https://b",state="probing"} 0',
    'berth_mirror_breaker_state{upstream="b",endpoint="https://b",state="throttled"} 0',
    'berth_mirror_rate_limit_remaining{upstream="b",endpoint="https://b"} 7',
    'berth_mirror_downloads_running 2',
  ]);
});

test('without a mirror there are none of these', async () => {
  const { text } = await createMetrics().exposition();
  expect(text).not.toMatch(/registry_proxy|berth_mirror/);
});
