import { setTimeout as delay } from 'node:timers/promises';
import { createDriver } from '../storage-drivers/index.ts';
import { type AccessControl, openAccessControl } from './access-control.ts';
import type { TokenService } from './auth/builtin/service.ts';
import { awaitStorage } from './await-storage.ts';
import { version } from './cli/version.ts';
import { cipherSuites } from './config/cipher-suites.ts';
import type { Config } from './config/schema.ts';
import { revealSecrets } from './config/secret.ts';
import { openMetrics, startDebugServer } from './debug-server.ts';
import { createApp } from './http/app.ts';
import { createClientAddress } from './http/client-address.ts';
import { type Listening, listen } from './http/listen.ts';
import type { Log } from './http/log.ts';
import { json } from './http/reply.ts';
import type { TlsOptions } from './http/tls.ts';
import { openMirror } from './mirroring/open-mirror.ts';
import { startMirrorSchedule } from './mirroring/schedule.ts';
import { createHealth } from './observe/health.ts';
import { createNotifications } from './observe/notifications.ts';
import { restrict } from './registry/restrict.ts';
import { createStorageRegistry } from './registry/storage-registry.ts';
import { startUploadPurging } from './upload-purging.ts';
import { validationOf } from './validation-of.ts';

export interface Server {
  /** `host:port`, or the path of the socket. */
  readonly address: string;
  readonly url: string;
  /** Reads the certificates, the users and the trusted keys again, and takes over the policy of `auth`. */
  reload(auth: Config['auth']): Promise<void>;
  /** Stops listening, lets running requests end for `http.draintimeout`, then stops everything else. */
  close(): Promise<void>;
}

/** How long `/readyz` waits for the storage, in milliseconds. */
const readyTimeout = 5_000;

/** How long requests that were cut may take to end, in milliseconds. */
const settleTimeout = 5_000;

/**
 * The composition root: builds everything that the configuration asks for, and closes it in reverse.
 *
 * @param listened runs between listening, for which certificates are read, and serving; until then the answer is 503
 */
export async function startServer(config: Config, log: Log, listened?: () => Promise<void>): Promise<Server> {
  const { storage, http } = config;
  const driver = createDriver(storage.driver.name, revealSecrets(storage.driver.parameters));

  const readOnly = storage.maintenance.readonly.enabled;
  const redirect = !storage.redirect.disable;
  const validation = validationOf(config.validation);
  const restrictions = { delete: storage.delete.enabled, readOnly };
  const hosted = restrict(createStorageRegistry({ driver, redirect, readOnly, validation }), restrictions);
  const store = createStorageRegistry({ driver, redirect, validation: { ...validation, references: false } });
  const mirror = openMirror(config, { hosted, store, driver, log, userAgent: `berth/${version()}` });
  const { registry } = mirror;

  const checkStorage = async (signal: AbortSignal) => driver.check?.({ signal });
  const health = createHealth({ ...config.health, checkStorage, log });
  let state: 'starting' | 'serving' | 'stopping' = 'starting';
  let obstacle: unknown;
  const failing = () => (state === 'starting' ? { server: 'starting' } : health.failing());
  const metrics = await openMetrics(http.debug);
  if (mirror.report !== undefined) metrics?.mirrors(mirror.report);
  const notifications = createNotifications({ ...config.notifications, addr: http.addr, log });
  if (notifications !== undefined) metrics?.notifications(notifications.numbers);
  let control: AccessControl | undefined;
  // Until it is there, nothing is served.
  const opened = (): AccessControl => {
    if (control === undefined) throw new TypeError('access control is not open yet');
    return control;
  };
  const prefix = http.prefix.replace(/\/$/, '');
  const app = createApp({
    registry,
    watch: notifications?.watch,
    access: { authorize: (...asked) => opened().controller.authorize(...asked) },
    tokens:
      config.auth?.builtin === undefined
        ? undefined
        : { issue: async (request) => tokensOf(opened()).issue(request), keySet: () => tokensOf(opened()).keySet() },
    log,
    pages: { repositories: config.catalog.maxentries, tags: config.tags.maxtags },
    prefix,
    host: http.host,
    relativeUrls: http.relativeurls && http.host === undefined,
    clientAddress: createClientAddress(http.trustedproxies),
    headers: http.headers,
    health: {
      live: async () => json(200, { status: 'ok' }),
      async ready() {
        if (state !== 'serving') return json(503, { status: state, ...reasonOf(obstacle) });
        try {
          await checkStorage(AbortSignal.timeout(readyTimeout));
          return json(200, { status: 'ok' });
        } catch (error) {
          log.warn('the storage cannot be used', { error });
          return json(503, { status: 'the storage cannot be used; the log says why', ...reasonOf(error) });
        }
      },
      failing,
    },
    metrics,
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
  let debugging: Listening | undefined;
  let purging: ReturnType<typeof startUploadPurging>;
  let schedule: ReturnType<typeof startMirrorSchedule> | undefined;
  const close = async () => {
    state = 'stopping';
    await listening.drain(http.draintimeout);
    // Before the mirror closes, of which it would go on to ask for images.
    const unscheduled = schedule?.stop();
    // First of the rest, as requests that were cut may wait for what comes from elsewhere.
    await mirror.close();
    // Requests that were cut still have to give back what they hold, so that their uploads can go on elsewhere.
    await Promise.race([app.settled(), delay(settleTimeout, undefined, { ref: false })]);
    await purging?.stop();
    await unscheduled;
    // When nothing is done any more.
    await notifications?.close();
    health.stop();
    await control?.close();
    await debugging?.drain(0);
    await driver.close?.();
  };
  try {
    debugging = await startDebugServer(http.debug, { metrics, failing, log });
    await listened?.();
    await awaitStorage({
      driver,
      write: !readOnly,
      log,
      onFault(error) {
        obstacle = error;
      },
    });
    control = await openAccessControl(config.auth, { driver, readOnly, prefix, log, metrics });
    if (!readOnly) schedule = startMirrorSchedule(config.mirror.schedule, { mirror, store, driver, log });
  } catch (error) {
    // What listens keeps the process alive, and would answer for ever that it is starting.
    await close();
    throw error;
  }
  state = 'serving';
  health.start();
  mirror.start();
  if (!readOnly) purging = startUploadPurging(storage.maintenance.uploadpurging, driver, log);

  return {
    address: listening.address,
    url: listening.url,
    async reload(auth) {
      await Promise.all([listening.reload(), control?.reload(auth)]);
    },
    close,
  };
}

function tokensOf({ tokens }: AccessControl): TokenService {
  if (tokens === undefined) throw new TypeError('tokens are made elsewhere');
  return tokens;
}

/** The kind of fault only: its message names paths and machines, which are nobody else's business. */
function reasonOf(error: unknown): { reason?: string } {
  return error instanceof Error && 'code' in error ? { reason: reasons.get(String(error.code)) ?? 'unknown' } : {};
}

const reasons = new Map([
  ['STORAGE_UNAVAILABLE', 'the storage does not answer'],
  ['STORAGE_DENIED', 'the storage refuses the credentials, or does not allow it'],
  ['STORAGE_FULL', 'the storage is full'],
  ['STORAGE_READ_ONLY', 'the storage is read-only'],
  ['STORAGE_MISSING', 'the bucket does not exist, or is in another region'],
]);

/** In the words of the listener; undefined: clear text. */
function tlsOf({ certificate, key, ciphersuites, ...tls }: Config['http']['tls']): TlsOptions | undefined {
  if (certificate === undefined || key === undefined) return undefined;
  return { ...tls, certificate, key, ciphersuites: ciphersuites.map((name) => cipherSuites[name] ?? name) };
}
