import { randomBytes } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { mediaTypes } from '../harness/content.ts';
import { createHttpClient, type HttpClient } from '../harness/http-client.ts';
import { givenUrl, startRegistry } from '../harness/under-test.ts';
import { brokenRules } from './every-response.ts';

/** The registry under test. */
export interface Registry extends HttpClient {
  readonly host: string;
  /** A repository name that nobody else uses, ending in `/path` if that is given. */
  repository(path?: string): string;
}

/**
 * The registry at `BERTH_URL`, or a new one with deletion switched on. Called once, at the top of a test file; the
 * file ends with {@link checkEveryResponse}.
 */
export async function openRegistry(): Promise<Registry> {
  if (givenUrl !== undefined) return connect(givenUrl);
  const server = await startRegistry();
  afterAll(() => server.stop());
  return connect(server.url);
}

const broken = new Map<string, string>();

/** A client of the registry at `url` which watches what must hold for every response. Its connections close after the file. */
export function connect(url: string): Registry {
  const client = createHttpClient(url, {
    followToStorage: true,
    onReply(reply) {
      for (const [rule, example] of brokenRules(reply)) if (!broken.has(rule)) broken.set(rule, example);
    },
  });
  afterAll(() => client.close());
  const accept = Object.values(mediaTypes).join(', ');
  const unique = `t${randomBytes(5).toString('hex')}`;
  let count = 0;
  return {
    ...client,
    // Most tests ask as a client does that takes any manifest; `manifest-requests` asks in other ways.
    request: (method, target, options = {}) =>
      client.request(method, target, { ...options, headers: { Accept: accept, ...options.headers } }),
    host: new URL(url).host,
    repository: (path) => [unique, `r${++count}`, ...(path === undefined ? [] : [path])].join('/'),
  };
}

/** Adds the last test of a file: no response in it has broken a rule for every response. */
export function checkEveryResponse(): void {
  test('every response of the tests above obeys the rules for every response', () => {
    expect([...broken].map(([rule, example]) => `${rule}: ${example}`).join('\n')).toBe('');
  });
}
