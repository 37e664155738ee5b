import { Hono } from 'hono';
import type { AccessController } from '../auth/access.ts';
import { RegistryError } from '../oci/errors.ts';
import { createAnswer, type Health } from './answer.ts';
import type { Log } from './log.ts';
import type { Addressing, AppEnv } from './request.ts';
import { pingV1, search } from './routes/search.ts';
import type { Services } from './routes/services.ts';
import { createV2 } from './routes/v2.ts';

export interface AppOptions extends Services, Addressing {
  readonly access: AccessController;
  readonly health: Health;
  /** `http.headers`: added to every answer. */
  readonly headers: Readonly<Record<string, readonly string[]>>;
  readonly log: Log;
}

export function createApp(options: AppOptions): Hono<AppEnv> {
  const { registry, access, health, prefix } = options;
  const { always, whenHealthy } = createAnswer(options);
  const v2 = whenHealthy(createV2(options));

  const app = new Hono<AppEnv>();
  app.get('/healthz', always(health.live));
  app.get('/readyz', always(health.ready));
  app.get(
    `${prefix}/`,
    whenHealthy(async () => ({ status: 200, headers: { 'Cache-Control': 'no-cache' } })),
  );
  app.get(`${prefix}/v1/_ping`, whenHealthy(pingV1));
  app.get(
    `${prefix}/v1/search`,
    whenHealthy(async (request) => {
      const caller = await access.authorize(request, []);
      return search(request, registry, caller);
    }),
  );
  app.all(`${prefix}/v2`, v2);
  app.all(`${prefix}/v2/*`, v2);
  app.notFound(
    always(async () => {
      throw new RegistryError('NOT_FOUND');
    }),
  );
  return app;
}
