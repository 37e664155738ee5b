import { randomBytes } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { mediaTypes } from '../harness/content.ts';
import { createHttpClient, type HttpClient } from '../harness/http-client.ts';
import { requireTool } from '../harness/require-tool.ts';
import { berthCommand, type Server, type ServerOptions, startBerth, startDistribution } from '../harness/server.ts';
import { brokenRules } from './every-response.ts';

/** The registry under test. */
export interface Registry extends HttpClient {
  readonly host: string;
  /** A repository name that nobody else uses, ending in `/path` if that is given. */
  repository(path?: string): string;
}

/** The URL of a registry that somebody else has started; undefined: each test file starts one. */
const givenUrl = process.env.BERTH_URL;

/** True when there is a given registry: tests that need servers of their own, set up in their own way, are left out. */
export const registryIsGiven = givenUrl !== undefined;

/** With `BERTH_SERVER=distribution` the tests start the program that berth stands in for, to see where they differ. */
const distribution = process.env.BERTH_SERVER === 'distribution';

export function startRegistry(options?: ServerOptions): Promise<Server> {
  return distribution ? startDistribution(options) : startBerth(options);
}

/** The command line of the server that {@link startRegistry} starts, for its other commands. */
export function registryCommand(): [command: string, ...args: string[]] {
  return distribution ? [requireTool('docker-registry')] : berthCommand();
}

/**
 * The registry at `BERTH_URL`, or a new one with deletion switched on. Called once, at the top of a test file; the
 * file ends with {@link checkEveryResponse}.
 */
export async function openRegistry(): Promise<Registry> {
  if (givenUrl !== undefined) return connect(givenUrl.replace(/\/$/, ''));
  const server = await startRegistry();
  afterAll(() => server.stop());
  return connect(server.url);
}

const broken = new Map<string, string>();

/** A client of the registry at `url` which watches what must hold for every response. Its connections close after the file. */
export function connect(url: string): Registry {
  const client = createHttpClient(url, {
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
    // Most tests ask as a client does that takes any manifest; `manifest-negotiation` asks in other ways.
    request: (method, target, options = {}) =>
      client.request(method, target, { ...options, headers: { Accept: accept, ...options.headers } }),
    host: new URL(url).host,
    repository: (path) => [unique, `r${++count}`, ...(path === undefined ? [] : [path])].join('/'),
  };
}

/** Adds the last test of a file: no response in it has broken a rule for every response. */
export function checkEveryResponse(): void {
  test('every response of the tests above obeys the rules for every response', () => {
    expect(Object.fromEntries(broken)).toEqual({});
  });
}
