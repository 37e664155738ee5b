import { createDriver } from '../storage-drivers/index.ts';
import { openAccess } from './auth/access.ts';
import { cipherSuites } from './config/cipher-suites.ts';
import type { Config } from './config/schema.ts';
import { revealSecrets } from './config/secret.ts';
import { createApp } from './http/app.ts';
import { listen } from './http/listen.ts';
import type { Log } from './http/log.ts';
import { json } from './http/reply.ts';
import type { TlsOptions } from './http/tls.ts';
import { createHealth } from './observe/health.ts';
import { restrict } from './registry/restrict.ts';
import { createStorageRegistry } from './registry/storage-registry.ts';
import { startUploadPurging } from './upload-purging.ts';
import { validationOf } from './validation-of.ts';

export interface Server {
  /** `host:port`, or the path of the socket. */
  readonly address: string;
  readonly url: string;
  /** Reads the certificates again. */
  reload(): Promise<void>;
  /** Stops listening, lets running requests end for `http.draintimeout`, then stops everything else. */
  close(): Promise<void>;
}

/** The composition root: builds everything that the configuration asks for, and closes it in reverse. */
export async function startServer(config: Config, log: Log): Promise<Server> {
  const { storage, http } = config;
  const driver = createDriver(storage.driver.name, revealSecrets(storage.driver.parameters));

  const readOnly = storage.maintenance.readonly.enabled;
  const registry = restrict(
    createStorageRegistry({
      driver,
      redirect: !storage.redirect.disable,
      readOnly,
      validation: validationOf(config.validation),
    }),
    { delete: storage.delete.enabled, readOnly },
  );

  const checkStorage = async (signal?: AbortSignal) => driver.check?.(signal);
  const health = createHealth({ ...config.health, checkStorage, log });
  let draining = false;
  const app = createApp({
    registry,
    access: openAccess,
    log,
    pages: { repositories: config.catalog.maxentries, tags: config.tags.maxtags },
    prefix: http.prefix.replace(/\/$/, ''),
    host: http.host,
    relativeUrls: http.relativeurls && http.host === undefined,
    headers: http.headers,
    health: {
      live: async () => json(200, { status: 'ok' }),
      async ready() {
        if (draining) return json(503, { status: 'stopping' });
        try {
          await checkStorage();
          return json(200, { status: 'ok' });
        } catch (error) {
          return json(503, { status: 'storage cannot be used', reason: (error as Error).message });
        }
      },
      failing: () => health.failing(),
    },
  });

  const listening = await listen(app.fetch, {
    addr: http.addr,
    net: http.net,
    tls: tlsOf(http.tls),
    http2: http.http2,
    h2c: http.h2c,
    timeouts: http.timeouts,
    log,
  });
  health.start();
  const purging = readOnly ? undefined : startUploadPurging(storage.maintenance.uploadpurging, driver, log);

  return {
    address: listening.address,
    url: listening.url,
    reload: () => listening.reload(),
    async close() {
      draining = true;
      await listening.drain(http.draintimeout);
      await purging?.stop();
      health.stop();
      await driver.close?.();
    },
  };
}

/** In the words of the listener; undefined: clear text. */
function tlsOf({ certificate, key, ciphersuites, ...tls }: Config['http']['tls']): TlsOptions | undefined {
  if (certificate === undefined || key === undefined) return undefined;
  return { ...tls, certificate, key, ciphersuites: ciphersuites.map((name) => cipherSuites[name] ?? name) };
}
