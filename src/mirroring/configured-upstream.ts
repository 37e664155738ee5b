import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createGlob } from '../auth/policy/glob.ts';
import { longestTimer } from '../config/duration.ts';
import { ConfigError } from '../config/finding.ts';
import type { Config } from '../config/schema.ts';
import { aliasesOf, prefixOf } from '../config/sections/mirror.ts';
import { type Naming, usualOriginOf } from '../mirror/naming.ts';
import { createUpstreamClient } from '../mirror/upstream/client.ts';
import type { Upstream } from '../mirror/upstream.ts';
import { proxiesOf } from './proxies.ts';
import type { UpstreamParts } from './upstream-parts.ts';

type UpstreamConfig = Config['mirror']['upstreams'][number];

/** How one of `mirror.upstreams` is named, with what the configuration leaves to be said by default. */
export function namingOf(config: UpstreamConfig): Naming {
  return { name: config.name, aliases: aliasesOf(config), prefix: prefixOf(config), isDefault: config.default };
}

/** Where it is reached without a mirror: if one of its endpoints has its name, there, as that tells whether it has TLS. */
export function originOf(config: UpstreamConfig): string {
  const own = config.endpoints?.map((url) => new URL(url)).find(({ host }) => host === config.name);
  return own?.origin ?? usualOriginOf(config);
}

/**
 * One of `mirror.upstreams`.
 *
 * @param key of it, for errors: `mirror.upstreams.0`
 * @throws ConfigError when its certificates cannot be read, or a proxy is no URL
 */
export function openConfigured(config: UpstreamConfig, key: string, { userAgent, happened }: UpstreamParts): Upstream {
  const { name, username, accounts, realms, timeouts, revalidate, maxstale } = config;
  const { endpoints = [usualOriginOf(config)] } = config;
  const ca = config.ca === undefined ? undefined : readCa(config.ca, `${key}.ca`);
  const allowed = config.allow.map(createGlob);
  const denied = config.deny.map(createGlob);
  const client = createUpstreamClient({
    name,
    endpoints: endpoints.map((url) => {
      const account = accounts.find(({ endpoint }) => endpoint === url);
      return { url, ca, ...(account && { credentials: credentialsOf(account) }) };
    }),
    ...(username !== undefined && { credentials: credentialsOf({ ...config, username }) }),
    userAgent,
    proxies: proxiesOf(process.env),
    timeouts: {
      connect: timer(timeouts.connect),
      head: timer(timeouts.answer),
      idle: timer(timeouts.idle),
    },
    realmHosts: realms,
    onEvent: (event) => happened(name, event),
  });
  return {
    ...namingOf(config),
    client,
    admits: (remote) => allowed.some((glob) => glob(remote)) && !denied.some((glob) => glob(remote)),
    revalidate,
    maxStale: maxstale,
    patience: timer(config.patience),
  };
}

/** @param duration in milliseconds */
function timer(duration: number): number {
  return Math.min(duration, longestTimer);
}

function readCa(path: string, key: string): string {
  try {
    const pem = readFileSync(path, 'utf8');
    // Node takes what is no certificate for none, and says nothing.
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const message = isMissing ? 'is not there' : `cannot be read as a certificate in PEM: ${error}`;
    throw new ConfigError([{ source: 'the configuration', key, value: path, message }]);
  }
}

type Account = UpstreamConfig['accounts'][number];

/** Asked each time, as the file may have changed. */
function credentialsOf({ username, password, passwordfile }: Omit<Account, 'endpoint'>) {
  return async () => ({
    username,
    password: passwordfile === undefined ? (password?.reveal() ?? '') : await readPassword(passwordfile),
  });
}

async function readPassword(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).replace(/\r?\n$/, '');
}
