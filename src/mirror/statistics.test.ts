import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName } from '../oci/name.ts';
import { Statistics } from './statistics.ts';
import type { UpstreamClient } from './upstream/client.ts';
import {
  accept,
  clientOf,
  type LyingUpstream,
  latest,
  sendManifest,
  startLyingUpstream,
} from './upstream/testing/lying-upstream.ts';

const repository = parseRepositoryName('library/alpine');
const blob = Buffer.alloc(100_000, 'b');
const limits = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' };
let upstream: LyingUpstream;
let client: UpstreamClient;
const statistics = new Statistics();

beforeAll(async () => {
  upstream = await startLyingUpstream((request, response, { pathname }) => {
    if (pathname.includes('/blobs/')) return response.writeHead(200, { 'content-length': blob.length }).end(blob);
    for (const [name, value] of Object.entries(limits)) response.setHeader(name, value);
    return sendManifest(request, response);
  });
  client = clientOf([upstream], { onEvent: (event) => statistics.happened(client.name, event) });
});
afterAll(async () => {
  await client.close();
  await upstream.close();
});

const report = () => statistics.report(client.status());

test('what comes from an upstream is counted, as far as it was read', async () => {
  const { content } = await client.getManifest(repository, latest, accept);
  await client.headManifest(repository, latest, accept);
  expect(report().manifest.pulledBytes).toBe(content.length);
  expect(report().endpoints).toMatchObject([{ url: upstream.url, rateLimit: { limit: 100, remaining: 76 } }]);

  const { body } = await client.openBlob(repository, digestOf(blob));
  for await (const _ of body);
  expect(report().blob.pulledBytes).toBe(blob.length);
  const asked = await client.openBlob(repository, digestOf(blob));
  asked.close();
  expect(report().blob.pulledBytes).toBe(blob.length);
});

test('what an endpoint does not give is counted by reason, but not that something is missing', async () => {
  for (const status of [404, 404, 500, 401]) {
    upstream.handler = (_, response) => response.writeHead(status).end();
    await client.getManifest(repository, latest, accept).catch(() => undefined);
  }
  await upstream.close();
  for (let count = 0; count < 10; count += 1) {
    await client.getManifest(repository, latest, accept).catch(() => undefined);
  }
  const [endpoint] = report().endpoints;
  expect(endpoint?.errors).toEqual({ unreachable: 11, throttled: 0, denied: 1, invalid: 0 });
  expect(endpoint?.breaker.state).toBe('open');
});
